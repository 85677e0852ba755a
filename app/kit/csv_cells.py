"""Placeholder; the export brings the real one."""

import re

_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def unguard(text: str) -> str:
    """Text of a cell as it was before it was guarded."""
    return text[1:] if _GUARDED.match(text) else text

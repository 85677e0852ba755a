"""Text in the cells of a CSV file that people open in a spreadsheet.

A cell that begins like a formula is one, whoever wrote it: it could fetch what is in the others
(CSV injection, as OWASP calls it; ASVS 1.2.10). An apostrophe in front makes it text. `guard` adds
one and `unguard` takes one away, so what was exported is imported as it was.
"""

import re

# Some spreadsheets take the full-width forms for the plain ones, and skip a line break.
_BEGINNING = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_LIKE_A_FORMULA = re.compile(rf"'*{_BEGINNING}")
_GUARDED = re.compile(rf"'+{_BEGINNING}")


def escape_formula(text: str) -> str:
    """The text as a cell that no spreadsheet calculates."""
    return f"'{text}" if _LIKE_A_FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """The text of a cell that `guard` made; other text stays as it is."""
    return text[1:] if text[:1] == "'" and _GUARDED.match(text) else text

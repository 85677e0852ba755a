"""The notes of a release: python -m tools.release v1.2.0 prints the section of CHANGELOG.md."""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def release_notes(tag: str) -> str:
    """The section of CHANGELOG.md for a tag such as `v1.2.0`, without its heading.

    Raises:
        ValueError: the tag is not the version in pyproject.toml, or the section is missing.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, the version in pyproject.toml is {version}")
    sections = re.split(r"(?m)^## (\S+)\n", (ROOT / "CHANGELOG.md").read_text())
    notes = dict(zip(sections[1::2], sections[2::2], strict=True))
    if version not in notes:
        raise ValueError(f"CHANGELOG.md has no section {version}")
    return notes[version].strip()


if __name__ == "__main__":
    try:
        print(release_notes(*sys.argv[1:]))
    except (TypeError, ValueError) as error:
        sys.exit(f"No release: {error}")

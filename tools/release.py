"""Releases in the history, and their notes: python -m tools.release v1.2.0 prints those of a tag.

A release is the last commit that set its `version` in pyproject.toml, a number such as 1.2.0, if
CHANGELOG.md has a section for it in that commit.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.git import content, git, git_status

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r'(?m)^version = "(\d+\.\d+\.\d+)"$')

Version = tuple[int, ...]


def parse_version(text: str) -> Version:
    """The parts of a version, which compare as versions do.

    Raises:
        ValueError: it is no release, such as 1.2.0.dev0.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise ValueError(f"{text!r} is not a version such as 1.2.0")
    return tuple(map(int, text.split(".")))


def releases(branch: str) -> dict[str, str]:
    """The commits of the releases in the history of a branch, by version, oldest first."""
    found: dict[str, str] = {}
    for version, commit in _newest_first(branch):
        found.setdefault(version, commit)
    return {version: found[version] for version in sorted(found, key=parse_version)}


def last_release() -> tuple[str, str] | None:
    """The version and commit of the last release in the history of this checkout, if any."""
    if git_status("rev-parse", "--verify", "HEAD"):
        return None
    return next(_newest_first("HEAD"), None)


def _newest_first(branch: str) -> Iterator[tuple[str, str]]:
    log = ("log", "--first-parent", "--format=%H", "-G^version = ")
    for commit in git(*log, branch, "--", "pyproject.toml").split():
        version = VERSION.search(content(commit, "pyproject.toml"))
        if version and version[1] in sections(content(commit, "CHANGELOG.md")):
            yield version[1], commit


def sections(changelog: str) -> dict[str, str]:
    """The text of each version's section, without the heading."""
    parts = re.split(r"(?m)^## (\S+)\n", changelog)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def release_notes(tag: str) -> str:
    """The section of CHANGELOG.md for a tag such as `v1.2.0`, without its heading.

    Raises:
        ValueError: the tag is not the version in pyproject.toml, or the section is missing.
    """
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, the version in pyproject.toml is {version}")
    notes = sections((ROOT / "CHANGELOG.md").read_text())
    if version not in notes:
        raise ValueError(f"CHANGELOG.md has no section {version}")
    return notes[version]


if __name__ == "__main__":
    try:
        print(release_notes(*sys.argv[1:]))
    except (TypeError, ValueError) as error:
        sys.exit(f"No release: {error}")

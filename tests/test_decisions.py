"""The decisions: their headings, and the comments that refer to them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
DECISIONS = ROOT / "docs" / "decisions.md"
FOLDERS = ("app", "bench", "deploy", "docs", "examples", "migrations", "tests", "tools")
SUFFIXES = {".conf", ".html", ".ini", ".js", ".md", ".py", ".sh", ".toml", ".yaml", ".yml"}


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading: "12. Keyset pagination" is "12-keyset-pagination"."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def headings() -> list[str]:
    return re.findall(r"^## (.+?)\s*$", DECISIONS.read_text(), re.MULTILINE)


def files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.is_file())
    for folder in FOLDERS:
        yield from (path for path in (ROOT / folder).rglob("*") if "node_modules" not in path.parts)


def references() -> Iterator[tuple[str, str]]:
    """The file and the anchor of each reference; documents in docs/ link to it by its file name."""
    for path in files():
        if path.suffix in SUFFIXES and path != Path(__file__) and path.is_file():
            for anchor in re.findall(r"\bdecisions\.md#([\w-]*)", path.read_text()):
                yield str(path.relative_to(ROOT)), anchor


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [re.match(r"(\d+)\. \S", heading) for heading in headings()]
    assert [number and int(number[1]) for number in numbers] == [*range(1, len(numbers) + 1)]
    assert numbers


def test_slug_of_a_decision_is_that_of_github() -> None:
    assert slug("12. Keyset pagination") == "12-keyset-pagination"
    assert slug("3. `If-Match` and ETags, per item") == "3-if-match-and-etags-per-item"


def test_every_reference_to_a_decision_names_a_heading() -> None:
    anchors = {slug(heading) for heading in headings()}
    assert len(anchors) == len(headings())
    assert [(file, anchor) for file, anchor in references() if anchor not in anchors] == []

"""docs/asvs.md: its identifiers, and the tests and files that it names."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"\| (\d+\.\d+\.\d+) \| ([123]) \| [^|]+ \| ([a-z ]+) \| ([^|]*) \|")
NAMED = re.compile(r"`([\w./-]+)(?:::(\w+))?`")
FEATURES = {"audit", "docs", "jobs", "mfa", "oidc", "products", "tasks"}  # can be removed
ANSWERS = {"test", "file", "operator", "not applicable", "open"}


def rows() -> list[tuple[str, str, str, str]]:
    """Identifier, level, answer and the rest of each row."""
    lines = (ROOT / "docs" / "asvs.md").read_text().splitlines()
    matches = [ROW.fullmatch(line) for line in lines if re.match(r"\| \d", line)]
    assert all(matches)
    return [match.groups() for match in matches]


@cache
def names_in(file: str) -> set[str]:
    """The names of the tests in a file below tests/; empty if there is no such file."""
    path = ROOT / "tests" / file
    nodes = ast.walk(ast.parse(path.read_text())) if path.is_file() else ()
    functions = (node.name for node in nodes if isinstance(node, ast.FunctionDef))
    return {name for name in functions if name.startswith("test_")}


def test_asvs_document_has_each_requirement_of_levels_1_and_2_once() -> None:
    text = (ROOT / "tests" / "asvs-5.0.0.txt").read_text()
    levels = dict(line.split() for line in text.splitlines())
    answered = [(identifier, level) for identifier, level, _, _ in rows()]
    assert set(answered) <= set(levels.items())
    required = [(identifier, level) for identifier, level in levels.items() if level != "3"]
    assert [each for each in answered if each[1] != "3"] == required
    assert len(answered) == len(set(answered))
    assert len(required) == 253


def test_what_a_registration_reveals_is_not_claimed_to_be_hidden() -> None:
    """A known address is a 409: docs/decisions.md#81-known-addresses-at-registration."""
    claimed = {identifier for identifier, _, answer, _ in rows() if answer in ("test", "file")}
    assert "6.3.5" in claimed
    assert "6.3.8" not in claimed


def test_asvs_document_names_existing_tests_and_files() -> None:
    for identifier, _, answer, text in rows():
        named = [(file, test) for file, test in NAMED.findall(text) if test or "." in file]
        assert answer in ANSWERS, identifier
        assert text.strip(), identifier
        assert answer != "test" or any(test for _, test in named), identifier
        assert answer != "file" or any(not test for _, test in named), identifier
        missing = [each for each in named if not is_removed(*each) and not exists(*each)]
        assert missing == [], identifier


def exists(file: str, test: str) -> bool:
    """Whether the test exists, or the file if no test is named."""
    return test in names_in(file) if test else (ROOT / file).is_file()


def is_removed(file: str, test: str) -> bool:
    """Whether the file belongs to a feature that a clone has removed."""
    feature = file.removeprefix("tests/" if test else "app/").partition("/")[0]
    return feature in FEATURES and not (ROOT / "app" / feature).is_dir()

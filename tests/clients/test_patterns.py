"""The regular expressions of the document compile in the languages of clients."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.commands import OPENAPI, run

pytestmark = pytest.mark.slow
COMPILE = """
const errors = JSON.parse(process.argv[1]).flatMap((pattern) => {
  try { new RegExp(pattern, "u"); return []; } catch (error) { return [error.message]; }
});
console.log(JSON.stringify(errors));
"""


def patterns(part: Any) -> Iterator[str]:
    """Every `pattern` of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for value in part.values():
            yield from patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from patterns(value)


def test_patterns_compile_in_javascript_and_python(tmp_path: Path) -> None:
    every = sorted(set(patterns(json.loads(OPENAPI.read_text()))))
    assert len(every) > 20
    for pattern in every:
        re.compile(pattern)
    output = run("node", "--eval", COMPILE, json.dumps(every), where=tmp_path)
    assert json.loads(output) == []


def test_patterns_apply_to_strings_only() -> None:
    """Clients parse a `date-time` or `uuid`, and cannot match the result."""

    def parsed(part: Any) -> Iterator[Any]:
        if isinstance(part, dict):
            if "pattern" in part and part.get("format") in ("date-time", "date", "uuid"):
                yield part
            for value in part.values():
                yield from parsed(value)
        elif isinstance(part, list):
            for value in part:
                yield from parsed(value)

    assert list(parsed(json.loads(OPENAPI.read_text()))) == []

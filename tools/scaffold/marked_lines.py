"""The lines of a feature in files that belong to no feature, such as documents and the Makefile.

They stand between the comments `begin products` and `end products`, written as the file writes
comments, on lines of their own. A comment may name several features: its lines go with the first of
them. A file without other lines is deleted, and with an `__init__.py` its whole package.

In Markdown, where a comment would end a table, a row that names a file below `app/products/` or
`tests/products/` belongs to the feature, too.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.scaffold.feature_list import ROOT, read

MARK = re.compile(r"^\s*(?:#|//|/\*|<!--) (begin|end) ([a-z_]+(?: [a-z_]+)*)(?: \*/| -->)?$")


class Marked(NamedTuple):
    """The lines between two marks, with the marks; numbers are from 1."""

    names: tuple[str, ...]
    first: int
    last: int


def remove(name: str) -> list[Path]:
    """Remove the lines of a feature, and the files and packages that have no others.

    Returns:
        The files that were changed or deleted, from the root of the tree.
    """
    changed = []
    for path, text in list(_texts()):
        kept = without(name, path, text)
        if kept != text:
            changed.append(path)
            if kept.strip():
                (ROOT / path).write_text(kept)
            elif path.name == "__init__.py":
                shutil.rmtree(ROOT / path.parent)
            else:
                (ROOT / path).unlink()
    return changed


def marked(path: Path, text: str) -> list[Marked]:
    """The marked lines of a file.

    Raises:
        ValueError: a mark has no counterpart.
    """
    found, open_marks = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if mark := MARK.match(line):
            names = tuple(mark[2].split())
            if mark[1] == "begin":
                open_marks.append((names, number))
            elif open_marks and open_marks[-1][0] == names:
                found.append(Marked(names, open_marks.pop()[1], number))
            else:
                raise ValueError(f"{path}:{number}: end without its begin")
    if open_marks:
        raise ValueError(f"{path}:{open_marks[-1][1]}: begin without its end")
    return found


def all_marked() -> dict[Path, list[Marked]]:
    """The marked lines of each file of the tree."""
    return {path: found for path, text in _texts() if (found := marked(path, text))}


def without(name: str, path: Path, text: str) -> str:
    """The text of a file without the lines of a feature."""
    lines = text.splitlines(keepends=True)
    for block in marked(path, text):
        if name in block.names:
            before = lines[block.first - 2] if block.first > 1 else "\n"
            ends = block.last + (before == "\n" == "".join(lines[block.last : block.last + 1]))
            lines[block.first - 1 : ends] = [""] * (ends - block.first + 1)
    if path.suffix == ".md" and path.name != "asvs.md":  # its rows are requirements
        row = re.compile(rf"\|.*`(?:(?:app|tests)/{name}/|{name}/test_)")
        lines = [line for line in lines if not row.match(line)]
    return "".join(lines)


def _texts() -> Iterator[tuple[Path, str]]:
    """The text files that Git knows or would add."""
    command = ["git", "ls-files", "-zco", "--exclude-standard"]
    for name in subprocess.check_output(command, cwd=ROOT, text=True).split("\0"):
        if name and (ROOT / name).is_file():
            try:
                yield Path(name), read(Path(name))
            except UnicodeDecodeError:  # an image
                continue

"""Records of a CSV file (RFC 4180) with a header line, in constant memory.

The file is split at line breaks first, so bad UTF-8, a quotation mark that is never closed and an
endless line each spoil one record only.
"""

import csv
import re
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from app.core.files.csv_injection import unescape_formula
from app.core.files.record_lines import MAX_RECORD_LENGTH, TOO_LONG, Line, Record, RecordLines
from app.core.files.uploads import UploadError
from app.core.schemas.base import Schema
from app.core.schemas.fields import String

MAX_LINES_PER_RECORD = 100  # of a record with line breaks in its cells

# A line that ends within a quoted cell; a quotation mark opens one only where the cell begins.
_ENDS_WITHIN_QUOTES = re.compile(rb'(?:(?:"(?:[^"]++|"")*+"|[^",]*+),)*+"(?:[^"]++|"")*+')


class Column(NamedTuple):
    """A column of the file."""

    name: str  # of the member; empty where the member is read-only, and the cell left out
    convert: Callable[[str], Any]  # reads a cell that is not empty
    nullable: bool  # an empty cell is null; without this, the member is absent


def read_csv(stream: IO[bytes], schema: Schema) -> Iterator[Record]:
    """The records of a file; read-only members of the schema are left out.

    A line that is not valid is a record with an error, and the next line is read.

    Raises:
        UploadError: the header line is missing, or names a column twice or one that is unknown.
    """
    lines = RecordLines(stream)
    first = next(lines, None)
    header = _cells([first])[0] if first else None
    if not header:
        raise UploadError("The first line does not name the columns.")
    names = [name.removeprefix("\ufeff") for name in header]  # spreadsheets write a BOM
    columns = _columns(names, schema)
    for first in lines:
        has_quotes = first.raw is not None and b'"' in first.raw
        parts = _read_multiline_record(first, lines) if has_quotes else [first]
        cells, error = _cells(parts)
        if cells and len(cells) != len(names):
            error = f"The line has {len(cells)} cells; the first line names {len(names)} columns."
        if error:
            # Only the first of these lines is at fault. The others are read again one by one, so
            # that a quotation mark that is never closed does not consume them.
            lines.push_back(parts[1:])
            yield Record(first.number, None, error)
        elif cells:
            yield Record(first.number, _members(cells, columns))


def _columns(names: list[str], schema: Schema) -> list[Column]:
    if unknown := [name for name in names if name not in schema.fields]:
        raise UploadError(f"The first line names a column that is not known: {unknown[0]!r}.")
    if len(set(names)) < len(names):
        raise UploadError("The first line names a column more than once.")
    columns = []
    for name in names:
        field = schema.load_fields.get(name)
        is_text = isinstance(field, String)
        convert = unescape_formula if is_text else getattr(field, "parse_query_value", str)
        columns.append(Column(name if field else "", convert, bool(field and field.allow_none)))
    return columns


def _members(cells: list[str], columns: list[Column]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for (name, convert, nullable), cell in zip(columns, cells, strict=True):
        if cell and name:
            members[name] = convert(cell)
        elif nullable:
            members[name] = None
    return members


def _read_multiline_record(first: Line, lines: RecordLines) -> list[Line]:
    """A line and those in which its last quoted cell continues."""
    parts, raw = [first], first.raw
    while raw and _ENDS_WITHIN_QUOTES.fullmatch(raw) and len(parts) < MAX_LINES_PER_RECORD:
        following = next(lines, None)
        if following is None:
            break
        parts.append(following)
        raw = raw + following.raw if following.raw and len(raw) <= MAX_RECORD_LENGTH else None
    return parts


def _cells(parts: list[Line]) -> tuple[list[str], str]:
    """The cells of a record, and its error if there is one; a blank line has neither."""
    if parts[0].raw is None:
        return [], TOO_LONG
    raw = parts[0].raw if len(parts) == 1 else b"".join(part.raw or b"" for part in parts)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return [], "The line is not UTF-8."
    if '"' not in text:  # faster than csv.reader, and most lines
        text = text.rstrip("\r\n")
        return text.split(",") if text else [], ""
    if _ENDS_WITHIN_QUOTES.fullmatch(raw):
        return [], "A quotation mark is never closed."
    try:
        return next(csv.reader([text], strict=True)), ""
    except csv.Error as error:
        return [], f"The line is not CSV: {error}."

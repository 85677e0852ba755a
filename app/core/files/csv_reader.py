"""Records in a file, one after the other, in constant memory: CSV (RFC 4180) and NDJSON.

A record that cannot be read says so and costs no other one: lines are told apart before anything
else, so bad UTF-8, a quote that is never closed or a line without end stay where they are.
"""

import csv
import re
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

from app.core.files.csv_injection import unescape_formula
from app.core.files.uploads import UploadError
from app.core.schemas.base import Schema
from app.core.schemas.fields import String
from app.core.web import strict_json

MAX_RECORD_LENGTH = 64 * 1024  # bytes of a record
MAX_LINES_PER_RECORD = 100  # of a record whose cells have line breaks in them
TOO_LONG = f"The line is longer than {MAX_RECORD_LENGTH} bytes."

EXAMPLE = {
    "text/csv": "sku,name,category,price,currency\r\nMUG-0001,Enamel mug,kitchen,12.50,EUR\r\n",
    "application/x-ndjson": '{"sku": "MUG-0001", "name": "Enamel mug", "category": "kitchen", '
    '"price": "12.50", "currency": "EUR"}\n',
}


class Record(NamedTuple):
    """What a schema can load, or why there is none."""

    line: int  # where it begins, from 1
    members: dict[str, Any] | None
    error: str = ""


class Line(NamedTuple):
    """A line and its number, from 1; too long a one is None."""

    number: int
    raw: bytes | None


class Column(NamedTuple):
    """A column's member, empty if it is not taken in; how to read a cell; whether empty is null."""

    name: str
    convert: Callable[[str], Any]
    nullable: bool


def read(stream: IO[bytes], media_type: str, schema: Schema) -> Iterator[Record]:
    """The records of a file, with the members that the schema takes in.

    Members that it only gives out are left aside: a file may be what an export wrote.

    Raises:
        UploadError: a CSV file's header line is not right.
    """
    return (_read_csv if media_type == "text/csv" else _read_ndjson)(stream, schema)


def _read_ndjson(stream: IO[bytes], schema: Schema) -> Iterator[Record]:
    read_only = frozenset(schema.dump_fields) - frozenset(schema.load_fields)
    for number, raw in _Lines(stream):
        if raw is None:
            yield Record(number, None, TOO_LONG)
        elif raw.strip():
            try:
                members = strict_json.loads(raw)
            except strict_json.StrictJSONError as error:
                yield Record(number, None, str(error).replace("The body", "The line"))
                continue
            if isinstance(members, dict):
                members = {k: v for k, v in members.items() if k not in read_only}
                yield Record(number, members)
            else:
                yield Record(number, None, "The line is not a JSON object.")


def _read_csv(stream: IO[bytes], schema: Schema) -> Iterator[Record]:
    lines = _Lines(stream)
    first = next(lines, None)
    header = _cells([first])[0] if first else None
    if not header:
        raise UploadError("The first line does not name the columns.")
    names = [name.removeprefix("\ufeff") for name in header]  # spreadsheets write a BOM
    columns = _columns(names, schema)
    for first in lines:
        simple = first.raw is None or b'"' not in first.raw
        parts = [first] if simple else _read_multiline_record(first, lines)
        cells, error = _cells(parts)
        if cells and len(cells) != len(names):
            error = f"The line has {len(cells)} cells; the first line names {len(names)} columns."
        if error:
            # Of several lines that are no record the first is broken. The others are looked at each
            # by itself, so that a quotation mark that is never closed swallows none of them.
            lines.push_back(parts[1:])
            yield Record(first.number, None, error)
        elif cells:
            yield Record(first.number, _members(cells, columns))


def _members(cells: list[str], columns: list[Column]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for (name, convert, nullable), cell in zip(columns, cells, strict=True):
        if cell and name:
            members[name] = convert(cell)
        elif nullable:
            members[name] = None
    return members


def _columns(names: list[str], schema: Schema) -> list[Column]:
    if unknown := [name for name in names if name not in schema.fields]:
        raise UploadError(f"The first line names a column that is not known: {unknown[0]!r}.")
    if len(set(names)) < len(names):
        raise UploadError("The first line names a column more than once.")
    columns = []
    for name in names:
        field = schema.load_fields.get(name)
        convert = (
            unescape_formula
            if isinstance(field, String)
            else getattr(field, "parse_query_value", str)
        )
        columns.append(Column(name if field else "", convert, bool(field and field.allow_none)))
    return columns


# A line that ends within a quoted cell; a quotation mark opens one only where the cell begins.
_OPEN = re.compile(rb'(?:(?:"(?:[^"]++|"")*+"|[^",]*+),)*+"(?:[^"]++|"")*+')


def _read_multiline_record(first: Line, lines: "_Lines") -> list[Line]:
    """A line, with those in which its last cell goes on."""
    parts, raw = [first], first.raw
    while raw and _OPEN.fullmatch(raw) and len(parts) < MAX_LINES_PER_RECORD:
        following = next(lines, None)
        if following is None:
            break
        parts.append(following)
        raw = raw + following.raw if following.raw and len(raw) <= MAX_RECORD_LENGTH else None
    return parts


def _cells(parts: list[Line]) -> tuple[list[str], str]:
    """The cells of a record, or what is wrong with it; neither, where the line is blank."""
    if parts[0].raw is None:
        return [], TOO_LONG
    raw = parts[0].raw if len(parts) == 1 else b"".join(part.raw or b"" for part in parts)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return [], "The line is not UTF-8."
    if '"' not in text:
        text = text.rstrip("\r\n")
        return text.split(",") if text else [], ""
    if _OPEN.fullmatch(raw):
        return [], "A quotation mark is never closed."
    try:
        return next(csv.reader([text], strict=True)), ""
    except csv.Error as error:
        return [], f"The line is not CSV: {error}."


class _Lines:
    """The lines of a file; some can be given back, to be read again."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._number = stream, 0
        self._again: list[Line] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> Line:
        if self._again:
            return self._again.pop()
        raw = self._stream.readline(MAX_RECORD_LENGTH + 1)
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) <= MAX_RECORD_LENGTH:
            return Line(self._number, raw)
        while raw and not raw.endswith(b"\n"):
            raw = self._stream.readline(MAX_RECORD_LENGTH)
        return Line(self._number, None)

    def push_back(self, lines: list[Line]) -> None:
        self._again.extend(reversed(lines))

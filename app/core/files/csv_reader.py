"""Records of a CSV file (RFC 4180) with a header line, in constant memory.

The file is split at line breaks first, so bad UTF-8, a quotation mark that is never closed and an
endless line each spoil one record only. What spreadsheets write is accepted:
docs/decisions.md#70-files-of-spreadsheets
"""

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import IO, Any, NamedTuple

import marshmallow as ma

from app.core.files.csv_injection import unescape_formula
from app.core.files.record_lines import MAX_RECORD_LENGTH, TOO_LONG, Line, Record, RecordLines
from app.core.files.text_stream import SWAP_LINE_ENDS, open_text
from app.core.files.uploads import UploadError
from app.core.schemas.base import Schema
from app.core.schemas.fields import Boolean, Email, Enum, Integer, MoneyAmount, String

MAX_LINES_PER_RECORD = 100  # of a record with line breaks in its cells
MAX_BLANK_LINES = 100  # before the header line, as of a sheet that does not begin in its first row
SEPARATORS = ",;\t"
NOT_UTF8 = "The line is not UTF-8. Save the file as UTF-8; in Excel, choose “CSV UTF-8”."

_BLANK = b' ",;\t\r\n'  # bytes of a line without text
_SEPARATOR_LINE = re.compile(rb'"?sep=([,;\t])"?[,;\t]*\r*\n?', re.IGNORECASE)  # of Excel


class Column(NamedTuple):
    """A column of the file."""

    name: str  # of the member; empty where the member is read-only, and the cell left out
    is_text: bool  # blanks around a cell belong to it
    convert: Callable[[str], Any]  # reads a cell that is not empty
    nullable: bool  # an empty cell is null; without this, the member is absent


class CsvFormat:
    """How the cells of a file are written."""

    def __init__(self, separator: str, *, swapped: bool) -> None:
        self.separator, self.swapped = separator, swapped
        cell = rb'"(?:[^"]++|"")*+'
        other = rb'[^"%b]*+' % separator.encode()
        # A line that ends within a quoted cell; a quotation mark opens one only where the cell
        # begins.
        self._open = re.compile(b'(?:(?:%b"|%b)%b)*+%b' % (cell, other, separator.encode(), cell))

    def ends_within_quotes(self, raw: bytes) -> bool:
        """Whether a quoted cell continues in the next line."""
        return self._open.fullmatch(raw) is not None

    def cells(self, parts: list[Line]) -> tuple[list[str], str]:
        """The cells of a record, and its error if there is one; a blank line has neither."""
        if parts[0].raw is None:
            return [], TOO_LONG
        raw = parts[0].raw if len(parts) == 1 else b"".join(part.raw or b"" for part in parts)
        try:
            text = (raw.translate(SWAP_LINE_ENDS) if self.swapped else raw).decode()
        except UnicodeDecodeError:
            return [], NOT_UTF8
        text = text.rstrip("\r\n")
        if '"' not in text:  # faster than csv.reader, and most lines
            return text.split(self.separator) if text else [], ""
        if self.ends_within_quotes(raw):
            return [], "A quotation mark is never closed."
        try:
            return next(csv.reader([text], strict=True, delimiter=self.separator)), ""
        except csv.Error as error:
            return [], f"The line is not CSV: {error}."


def read_csv(stream: IO[bytes], schema: Schema) -> Iterator[Record]:
    """The records of a file; read-only members of the schema are left out.

    A line that is not valid is a record with an error, and the next line is read.

    Raises:
        UploadError: the file is not text, or its header line is missing, or names a column twice
            or one that is unknown.
    """
    text = open_text(stream)
    lines = RecordLines(text.stream)
    format_, names = _read_header(lines, text.swapped)
    header = Header(names, schema, format_.separator)
    for first in lines:
        has_quotes = first.raw is not None and b'"' in first.raw
        parts = _read_multiline_record(first, lines, format_) if has_quotes else [first]
        cells, error = format_.cells(parts)
        is_blank = not any(map(str.strip, cells))
        if not (error or is_blank):
            cells, error = header.fit(cells)
        if error:
            # Only the first of these lines is at fault. The others are read again one by one, so
            # that a quotation mark that is never closed does not consume them.
            lines.push_back(parts[1:])
            yield Record(first.number, None, error)
        else:
            yield Record(first.number, None if is_blank else header.members(cells))


def _read_header(lines: RecordLines, swapped: bool) -> tuple[CsvFormat, list[str]]:
    """The format of the file, and the names of its columns."""
    first, separators = _next_with_text(lines), SEPARATORS
    if first and first.raw and (named := _SEPARATOR_LINE.fullmatch(first.raw)):
        first, separators = _next_with_text(lines), named[1].decode()
    if first is None:
        raise UploadError("The first line does not name the columns.")
    readings = []
    for separator in separators:
        format_ = CsvFormat(separator, swapped=swapped)
        readings.append((format_, *format_.cells([first])))
    # The one with the most columns; a comma, where there is only one column.
    format_, cells, error = max(readings, key=lambda reading: len(reading[1]))
    names = [name.strip() for name in cells]
    if not any(names):
        raise UploadError(f"The first line does not name the columns. {error}".rstrip())
    return format_, names


def _next_with_text(lines: RecordLines) -> Line | None:
    """The first line that has a cell with text; None if there is none nearby."""
    nearby = islice(lines, MAX_BLANK_LINES)
    return next((line for line in nearby if line.raw is None or line.raw.strip(_BLANK)), None)


class Header:
    """The columns that the first line names."""

    def __init__(self, names: list[str], schema: Schema, separator: str) -> None:
        named = [name for name in names if name]
        if unknown := [name for name in named if name not in schema.fields]:
            raise UploadError(
                f"The first line names a column that is not known: {unknown[0][:50]!r}. Columns "
                "are separated by commas, semicolons or tabs."
            )
        if len(set(named)) < len(named):
            raise UploadError("The first line names a column more than once.")
        self._columns = [_column(name, schema.load_fields.get(name), separator) for name in names]
        self._nameless = [number for number, name in enumerate(names) if not name]

    def fit(self, cells: list[str]) -> tuple[list[str], str]:
        """One cell for each column, and the error if there is one.

        Spreadsheets leave out empty cells at the end of a line, and add some for empty columns.
        """
        width = len(self._columns)
        if len(cells) < width:
            cells = cells + [""] * (width - len(cells))
        elif len(cells) > width:
            if any(map(str.strip, cells[width:])):
                return [], f"The line has {len(cells)} cells; the first line names {width} columns."
            cells = cells[:width]
        for number in self._nameless:
            # pandas writes the numbers of the rows in front, in a column without a name.
            if cells[number].strip() and not (number == 0 and cells[0].isdecimal()):
                return [], f"The line has a value in column {number + 1}, which has no name."
        return cells, ""

    def members(self, cells: list[str]) -> dict[str, Any]:
        """The members of a record."""
        members: dict[str, Any] = {}
        for (name, is_text, convert, nullable), cell in zip(self._columns, cells, strict=True):
            text = cell if is_text else cell.strip()
            if text and name:
                members[name] = convert(text)
            elif nullable:
                members[name] = None
        return members


def _column(name: str, field: ma.fields.Field[Any] | None, separator: str) -> Column:
    convert: Callable[[str], Any]
    match field:
        case Boolean():
            convert = _boolean
        case Integer():
            convert = partial(_integer, separator=separator)
        case MoneyAmount():
            convert = partial(_amount, separator=separator)
        case String():
            convert = unescape_formula
        case _:
            convert = getattr(field, "parse_query_value", str)
    is_text = isinstance(field, String) and not isinstance(field, Enum | Email)
    return Column(name if field else "", is_text, convert, bool(field and field.allow_none))


def _boolean(cell: str) -> Any:
    return {"true": True, "false": False}.get(cell.lower(), cell)


def _integer(cell: str, separator: str) -> Any:
    number = re.fullmatch(r"(-?[0-9]{1,18})(?:\.0+)?", _number(cell, separator))
    return int(number[1]) if number else cell


def _amount(cell: str, separator: str) -> str:
    # Programs that calculate with floats write 700.0 for 700 yen.
    return re.sub(r"(\.[0-9]*[1-9])0+$|\.0+$", r"\1", _number(cell, separator))


def _number(cell: str, separator: str) -> str:
    """The cell with a decimal point for a decimal comma.

    Where columns are separated by semicolons, each comma is one. Elsewhere it may separate
    thousands, but not before one or two digits.
    """
    if separator == ";":
        return cell.replace(",", ".", 1)
    return re.sub(r"^(-?[0-9]+),([0-9]{1,2})$", r"\1.\2", cell)


def _read_multiline_record(first: Line, lines: RecordLines, format_: CsvFormat) -> list[Line]:
    """A line and those in which its last quoted cell continues."""
    parts, raw = [first], first.raw
    while raw and format_.ends_within_quotes(raw) and len(parts) < MAX_LINES_PER_RECORD:
        following = next(lines, None)
        if following is None:
            break
        parts.append(following)
        raw = raw + following.raw if following.raw and len(raw) <= MAX_RECORD_LENGTH else None
    return parts

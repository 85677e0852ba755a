"""Records of an NDJSON file: a JSON object on each line."""

from collections.abc import Iterator
from typing import IO

from app.core.files.record_lines import TOO_LONG, Record, RecordLines
from app.core.files.text_stream import open_text
from app.core.schemas.base import Schema
from app.core.web import strict_json


def read_ndjson(stream: IO[bytes], schema: Schema) -> Iterator[Record]:
    """The records of a file; read-only members of the schema are left out.

    A line that is not valid is a record with an error, and the next line is read.

    Raises:
        UploadError: the file is not text.
    """
    read_only = frozenset(schema.dump_fields) - frozenset(schema.load_fields)
    for number, raw in RecordLines(open_text(stream).stream):
        if raw is None:
            yield Record(number, None, TOO_LONG)
        elif raw.strip():
            yield _record(number, raw, read_only)
        else:
            yield Record(number, None)


def _record(number: int, raw: bytes, read_only: frozenset[str]) -> Record:
    try:
        members = strict_json.loads(raw)
    except strict_json.StrictJSONError as error:
        return Record(number, None, str(error).replace("The body", "The line"))
    if not isinstance(members, dict):
        return Record(number, None, "The line is not a JSON object.")
    return Record(number, {k: v for k, v in members.items() if k not in read_only})

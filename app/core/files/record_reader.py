"""The records of a file by its media type."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import IO

from app.core.files.csv_reader import read_csv
from app.core.files.ndjson_reader import read_ndjson
from app.core.files.record_lines import Record
from app.core.files.text_stream import open_text
from app.core.files.uploads import CHUNK_BYTES
from app.core.schemas.base import Schema

READERS: Mapping[str, Callable[[IO[bytes], Schema], Iterator[Record]]] = {
    "text/csv": read_csv,
    "application/x-ndjson": read_ndjson,
}


def read_records(stream: IO[bytes], media_type: str, schema: Schema) -> Iterator[Record]:
    """The records of a file, with the members that the schema loads.

    Read-only members are left out, so a file may be what an export returned.

    Args:
        media_type: a key of `READERS`.

    Raises:
        UploadError: the file is not text, or the header line of a CSV file is not valid.
    """
    return READERS[media_type](stream, schema)


def count_lines(stream: IO[bytes]) -> int:
    """The number of line ends in a file.

    Raises:
        UploadError: the file is not text.
    """
    text = open_text(stream).stream
    return sum(part.count(b"\n") for part in iter(partial(text.read, CHUNK_BYTES), b""))

"""The records of a file by its media type."""

from collections.abc import Callable, Iterator, Mapping
from typing import IO

from app.core.files.csv_reader import read_csv
from app.core.files.ndjson_reader import read_ndjson
from app.core.files.record_lines import Record
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
        UploadError: the header line of a CSV file is not valid.
    """
    return READERS[media_type](stream, schema)

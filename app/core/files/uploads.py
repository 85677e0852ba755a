"""Files that come in: streamed to the database in chunks, and read from there as a stream.

The database is the one place that every web process and every worker reaches, and that is backed
up. A chunk is a transaction of its own, so a slow client holds up nobody; what belongs to nothing
in the end (the client went away, the request was refused) is purged later on.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import IO, Any
from uuid import UUID

from flask import current_app, request
from sqlalchemy import LargeBinary, Uuid, bindparam, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import execute
from app.core.database.ids import uuid7
from app.core.database.types import Timestamp, now
from app.core.web import request_body
from app.core.web.problems import Problem
from app.extensions import Base

CHUNK_BYTES = 256 * 1024  # bytes
MAX_DECOMPRESSION_RATIO = 20  # of what a gzip file holds to MAX_UPLOAD_LENGTH; a bomb has 1,000


class UploadChunk(Base):
    """A part of a file."""

    __tablename__ = "upload_chunks"

    upload_id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now, index=True)


_ADD = insert(UploadChunk)
_CHUNK = select(UploadChunk.data).where(
    UploadChunk.upload_id == bindparam("upload_id"), UploadChunk.number == bindparam("number")
)


class UploadError(Exception):
    """The file cannot be read to its end; the message is a sentence for its owner."""


class Upload:
    """A file that has arrived whole."""

    def __init__(self, id: UUID, media_type: str, coding: str, digest: str, size: int) -> None:
        self.id, self.media_type, self.coding, self.size = id, media_type, coding, size
        self.digest = digest

    def __str__(self) -> str:
        """What makes it the same file as another: for the fingerprint of an idempotent request."""
        return f"{self.media_type} {self.coding} {self.digest}"


def receive_upload(media_types: Mapping[str, Any], max_bytes: int) -> Upload:
    """Store the request's body.

    Raises:
        Problem: 415 for another media type, charset or coding than none and gzip; 413 for more
            than `max_bytes`; 400 for a body that does not arrive whole; 422 for none.
    """
    coding = request_body.check_content_type(tuple(media_types), ("gzip", "identity"))
    request.max_content_length = max_bytes
    chunks = iter(partial(request_body.read_or_400, _read_chunk), b"")
    upload = store_chunks(chunks, request.mimetype, coding)
    request_body.reject_truncated(upload.size)
    if not upload.size:
        raise Problem("validation-error", errors=[{"detail": "The file is empty.", "pointer": "#"}])
    return upload


def store_chunks(chunks: Iterable[bytes], media_type: str, coding: str) -> Upload:
    """Store a file that comes in chunks of any size."""
    upload_id, digest, size = uuid7(), sha256(), 0
    for number, chunk in enumerate(chunks):
        values = {"upload_id": upload_id, "number": number, "data": chunk}
        execute.execute_autocommit(_ADD, values)
        digest.update(chunk)
        size += len(chunk)
    return Upload(upload_id, media_type, coding, digest.hexdigest(), size)


def _read_chunk() -> bytes:
    """The next part of the body, of full size but for the last: the server gives it in bits."""
    parts, missing = [], CHUNK_BYTES
    while missing and (part := request.stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def open_upload(upload_id: UUID, coding: str) -> IO[bytes]:
    """The file as a stream, decompressed; reading it may raise `UploadError`."""
    raw = io.BufferedReader(_Chunks(upload_id), CHUNK_BYTES)
    if coding != "gzip":
        return raw
    limit = current_app.config["MAX_UPLOAD_LENGTH"] * MAX_DECOMPRESSION_RATIO
    return io.BufferedReader(_Unzipped(gzip.GzipFile(fileobj=raw), limit), CHUNK_BYTES)


class _Chunks(io.RawIOBase):
    """A stored file, chunk by chunk."""

    def __init__(self, upload_id: UUID) -> None:
        self._id, self._number, self._rest = upload_id, 0, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            rows = execute.fetch_autocommit(_CHUNK, {"upload_id": self._id, "number": self._number})
            if not rows:
                return 0
            self._rest, self._number = memoryview(rows[0].data), self._number + 1
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


class _Unzipped(io.RawIOBase):
    """A gzip file's content, as far as it is sound and of a sane size."""

    def __init__(self, zipped: gzip.GzipFile, limit: int) -> None:
        self._zipped, self._left = zipped, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._zipped.readinto(buffer)
        except (EOFError, OSError, zlib.error) as error:
            raise UploadError("The file is not, or not to its end, a gzip file.") from error
        self._left -= size
        if self._left < 0:
            raise UploadError("The file is too large once it is decompressed.")
        return size

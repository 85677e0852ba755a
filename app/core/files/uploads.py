"""Uploads: streamed to the database in chunks, and read from there as a stream.

Chunks without a job, because the client disconnected or the request was refused, are deleted later.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import IO, Any, NamedTuple
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

CHUNK_BYTES = 256 * 1024
MAX_DECOMPRESSION_RATIO = 20  # decompressed bytes per byte of MAX_UPLOAD_LENGTH; a bomb has 1,000


class UploadChunk(Base):
    """A part of a stored file."""

    __tablename__ = "upload_chunks"

    upload_id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now, index=True)


_INSERT_CHUNK = insert(UploadChunk)
_SELECT_CHUNK = select(UploadChunk.data).where(
    UploadChunk.upload_id == bindparam("upload_id"), UploadChunk.number == bindparam("number")
)


class UploadError(Exception):
    """The file cannot be read completely; the message is a sentence for its owner."""


class Upload(NamedTuple):
    """A file that is stored completely."""

    id: UUID
    media_type: str
    coding: str  # "gzip" or "identity"
    digest: str  # SHA-256 in hexadecimal digits
    size: int  # bytes as sent

    def __str__(self) -> str:
        """Equal for equal files: the fingerprint of an idempotent request contains it."""
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
    """Store a file from chunks of any size."""
    upload_id, digest, size = uuid7(), sha256(), 0
    for number, chunk in enumerate(chunks):
        # A transaction for each chunk: a slow client holds none open.
        # docs/decisions.md#38-uploads-in-the-database
        values = {"upload_id": upload_id, "number": number, "data": chunk}
        execute.execute_autocommit(_INSERT_CHUNK, values)
        digest.update(chunk)
        size += len(chunk)
    return Upload(upload_id, media_type, coding, digest.hexdigest(), size)


def _read_chunk() -> bytes:
    """The next CHUNK_BYTES of the body, fewer at its end; the server returns smaller parts."""
    parts, missing = [], CHUNK_BYTES
    while missing and (part := request.stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def open_upload(upload_id: UUID, coding: str) -> IO[bytes]:
    """The file as a stream of decompressed bytes; reading it may raise `UploadError`."""
    raw = io.BufferedReader(_ChunkReader(upload_id), CHUNK_BYTES)
    if coding != "gzip":
        return raw
    limit = current_app.config["MAX_UPLOAD_LENGTH"] * MAX_DECOMPRESSION_RATIO
    return io.BufferedReader(_GzipReader(gzip.GzipFile(fileobj=raw), limit), CHUNK_BYTES)


class _ChunkReader(io.RawIOBase):
    """The bytes of a stored file; one chunk at a time is in memory."""

    def __init__(self, upload_id: UUID) -> None:
        self._id, self._number, self._unread = upload_id, 0, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._unread:
            rows = execute.fetch_autocommit(
                _SELECT_CHUNK, {"upload_id": self._id, "number": self._number}
            )
            if not rows:
                return 0
            self._unread, self._number = memoryview(rows[0].data), self._number + 1
        size = min(len(buffer), len(self._unread))
        buffer[:size], self._unread = self._unread[:size], self._unread[size:]
        return size


class _GzipReader(io.RawIOBase):
    """The decompressed bytes of a gzip file; more than `limit` are an `UploadError`."""

    def __init__(self, compressed: gzip.GzipFile, limit: int) -> None:
        self._compressed, self._remaining = compressed, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            size = self._compressed.readinto(buffer)
        except (EOFError, OSError, zlib.error) as error:
            raise UploadError("The file is not, or not to its end, a gzip file.") from error
        self._remaining -= size
        if self._remaining < 0:
            raise UploadError("The file is too large once it is decompressed.")
        return size

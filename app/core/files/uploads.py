"""Uploads: streamed to the database in chunks, and read from there as a stream.

The file of a request that is refused or repeated is deleted with its response. One that is left
without a job or a row of its own, because the process was killed, is deleted later.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from hashlib import sha256
from itertools import count
from typing import IO, Any, NamedTuple
from uuid import UUID

from flask import current_app, request
from sqlalchemy import ForeignKey, LargeBinary, Uuid, bindparam, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import execute
from app.core.database.types import Timestamp, now
from app.core.files.file_types import check_content, check_name, known_types
from app.core.web import request_body
from app.core.web.problems import Problem
from app.extensions import Base, db

CHUNK_BYTES = 256 * 1024  # of those that are stored as well, so it cannot change
MAX_DECOMPRESSION_FACTOR = 20  # decompressed bytes per byte of MAX_UPLOAD_LENGTH
# Decompressed bytes per byte as sent. Lists compress to a tenth, a bomb to a thousandth:
# docs/decisions.md#39-imports-in-batches
MAX_DECOMPRESSION_RATIO = 100
CHARSETS_OF_RECORDS = ("utf-8", "utf-16", "utf-16le", "utf-16be")  # the file itself says which
MIN_DECOMPRESSED_BYTES = 1024 * 1024  # that are accepted at any ratio


class StoredUpload(Base):
    """A stored file; it is deleted with its chunks."""

    __tablename__ = "uploads"

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now, index=True)


class UploadChunk(Base):
    """A part of a stored file: CHUNK_BYTES, the last one fewer."""

    __tablename__ = "upload_chunks"

    upload_id: Mapped[UUID] = mapped_column(
        ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


_INSERT_UPLOAD = insert(StoredUpload)
_INSERT_CHUNK = insert(UploadChunk)
_SELECT_CHUNK = select(UploadChunk.data).where(
    UploadChunk.upload_id == bindparam("upload_id"), UploadChunk.number == bindparam("number")
)
_DELETE_UPLOAD = delete(StoredUpload).where(StoredUpload.id == bindparam("upload_id"))


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

    def row_values(self) -> dict[str, Any]:
        """The values of a row of `FileMixin` that keeps this file."""
        kept = {"media_type": self.media_type, "size": self.size, "digest": self.digest}
        return {"id": self.id, **kept}


def receive_upload(
    upload_id: UUID | None,
    media_types: Mapping[str, Any],
    max_bytes: int,
    codings: Sequence[str],
    *,
    is_kept: bool,
    name: str | None = None,
) -> Upload:
    """Read the request's body, and store it under this id unless it is None.

    Args:
        is_kept: whether a row will keep the file, so that its content is checked here.
        name: of that file.

    Raises:
        Problem: 415 for another media type, charset or coding; 413 for more than `max_bytes`; 400
            for a body that does not arrive whole; 422 for none, or one that is not what media type
            and name say.
    """
    accepted = known_types(media_types) if is_kept else tuple(media_types)
    charsets = ("utf-8",) if is_kept else CHARSETS_OF_RECORDS
    coding = request_body.check_content_type(accepted, codings, charsets)
    read = partial(request_body.body_stream(max_bytes).read, CHUNK_BYTES)
    chunks: Iterator[bytes] = iter(partial(request_body.read_or_400, read), b"")
    if is_kept:
        check_name(name, request.mimetype)
        chunks = check_content(chunks, request.mimetype)
    upload = store_chunks(chunks, request.mimetype, coding, upload_id)
    if not upload.size:
        raise Problem("validation-error", errors=[{"detail": "The file is empty.", "pointer": "#"}])
    return upload


def store_chunks(
    chunks: Iterable[bytes], media_type: str, coding: str, upload_id: UUID | None
) -> Upload:
    """Store a file from chunks of any size; with no id it is only read."""
    digest, size = sha256(), 0
    stream = io.BufferedReader(ChunkStream(iter(chunks)), CHUNK_BYTES)
    for number, chunk in enumerate(iter(partial(stream.read, CHUNK_BYTES), b"")):
        if upload_id:
            if not number:
                execute.execute_autocommit(_INSERT_UPLOAD, {"id": upload_id})
            # A transaction for each chunk: a slow client holds none open.
            # docs/decisions.md#38-uploads-in-the-database
            values = {"upload_id": upload_id, "number": number, "data": chunk}
            execute.execute_autocommit(_INSERT_CHUNK, values)
        digest.update(chunk)
        size += len(chunk)
    return Upload(upload_id or UUID(int=0), media_type, coding, digest.hexdigest(), size)


def discard_upload(upload_id: UUID) -> None:
    """Delete the file of a request without effect; if that fails, `purge_uploads` deletes it."""
    with suppress(SQLAlchemyError):
        db.session.rollback()  # it could hold a lock
        execute.execute_autocommit(_DELETE_UPLOAD, {"upload_id": upload_id})


def open_upload(
    upload_id: UUID, coding: str, on_read: Callable[[], None] = lambda: None
) -> IO[bytes]:
    """The file as a stream of decompressed bytes; reading it may raise `UploadError`.

    Args:
        on_read: called before each part of CHUNK_BYTES or less is read; it may raise an exception
            to stop the reader.
    """
    stored = _StoredChunks(upload_id)
    chunks: Iterator[bytes] = iter(stored)
    if coding == "gzip":
        chunks = _decompress(stored)
    return io.BufferedReader(ChunkStream(_each(chunks, on_read)), CHUNK_BYTES)


def read_range(upload_id: UUID, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from `start` to before `stop` of a stored file, a chunk at a time.

    The first step needs an application context, no step needs a request. Nothing is open between
    two steps.

    Raises:
        UploadError: the file was deleted.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    for number in range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES)):
        with app.app_context():
            data = _read_chunk(upload_id, number)
        if data is None:
            raise UploadError("The file was deleted.")
        offset = number * CHUNK_BYTES
        yield data[max(start - offset, 0) : stop - offset]


def _read_chunk(upload_id: UUID, number: int) -> bytes | None:
    params = {"upload_id": upload_id, "number": number}
    rows = execute.fetch_autocommit(_SELECT_CHUNK, params)
    return rows[0].data if rows else None


def _each(chunks: Iterator[bytes], on_read: Callable[[], None]) -> Iterator[bytes]:
    on_read()
    for chunk in chunks:
        yield chunk
        on_read()


class ChunkStream(io.RawIOBase):
    """A stream of the bytes of all chunks, one of which at a time is in memory."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._unread = chunks, memoryview(b"")

    def readable(self) -> bool:
        """Whether the stream can be read: yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Write the next bytes into the buffer; their number, which is 0 at the end."""
        while not self._unread:
            if (chunk := next(self._chunks, None)) is None:
                return 0
            self._unread = memoryview(chunk)
        size = min(len(buffer), len(self._unread))
        buffer[:size], self._unread = self._unread[:size], self._unread[size:]
        return size


class _StoredChunks:
    """The chunks of a stored file."""

    def __init__(self, upload_id: UUID) -> None:
        self._id = upload_id
        self.size = 0  # bytes that were read so far

    def __iter__(self) -> Iterator[bytes]:
        for number in count():
            data = _read_chunk(self._id, number)
            if data is None:
                return
            self.size += len(data)
            yield data


def _decompress(stored: _StoredChunks) -> Iterator[bytes]:
    """The decompressed bytes of a gzip file, unless they are far more than those of the file."""
    raw = io.BufferedReader(ChunkStream(iter(stored)), CHUNK_BYTES)
    compressed, size = gzip.GzipFile(fileobj=raw), 0
    limit = current_app.config["MAX_UPLOAD_LENGTH"] * MAX_DECOMPRESSION_FACTOR
    while True:
        try:
            chunk = compressed.read(CHUNK_BYTES)
        except (EOFError, OSError, zlib.error) as error:
            raise UploadError("The file is not, or not to its end, a gzip file.") from error
        if not chunk:
            return
        size += len(chunk)
        if size > limit:
            raise UploadError("The file is too large once it is decompressed.")
        if size > max(MIN_DECOMPRESSED_BYTES, stored.size * MAX_DECOMPRESSION_RATIO):
            raise UploadError(
                f"The file is more than {MAX_DECOMPRESSION_RATIO} times as large once it is "
                "decompressed. Send it without Content-Encoding."
            )
        yield chunk

"""Types of files that rows keep: how their content begins, and how their names end.

Deny by default: a type that is not in `FILE_TYPES` cannot be kept. A feature adds its own in the
module of its model. docs/decisions.md#92-content-of-files
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.core.web.problems import Problem

_HEAD_BYTES = 64  # more than any signature has


class FileType(NamedTuple):
    """A media type of files."""

    extensions: frozenset[str]
    signature: re.Pattern[bytes] | None = None  # of the first bytes; None: it is text in UTF-8


def _type(extensions: str, signature: bytes = b"") -> FileType:
    pattern = re.compile(signature, re.DOTALL) if signature else None
    return FileType(frozenset(extensions.split()), pattern)


FILE_TYPES = {
    "application/json": _type("json"),
    "application/pdf": _type("pdf", rb"%PDF-[0-9]"),
    "application/x-ndjson": _type("ndjson jsonl"),
    "image/avif": _type("avif", rb".{4}ftyp(avif|avis|mif1)"),
    "image/bmp": _type("bmp", rb"BM.{4}\0{4}"),
    "image/gif": _type("gif", rb"GIF8[79]a"),
    "image/heic": _type("heic heif", rb".{4}ftyp(heic|heix|heim|heis|mif1)"),
    "image/jpeg": _type("jpg jpeg jpe jfif", rb"\xff\xd8\xff"),
    "image/png": _type("png", rb"\x89PNG\r\n\x1a\n"),
    "image/tiff": _type("tif tiff", rb"II\*\0|MM\0\*"),
    "image/webp": _type("webp", rb"RIFF.{4}WEBP"),
    "text/csv": _type("csv"),
    "text/markdown": _type("md markdown"),
    "text/plain": _type("txt text log"),
}


def known_types(media_types: Iterable[str]) -> list[str]:
    """The types of which files can be checked; `image/*` stands for all of its kind."""
    patterns = [re.escape(name).replace(r"\*", ".+") for name in media_types]
    return [name for name in FILE_TYPES if any(re.fullmatch(each, name) for each in patterns)]


def check_name(name: str | None, media_type: str) -> None:
    """Check the extension of a file's name; without one it claims nothing.

    Raises:
        Problem: 422, it is another type's.
    """
    _, dot, extension = (name or "").rstrip(". ").rpartition(".")
    expected = sorted(FILE_TYPES[media_type].extensions)
    if dot and extension.lower() not in expected:
        detail = f"A file of the type {media_type} ends in .{' or .'.join(expected)}."
        raise Problem("validation-error", errors=[{"detail": detail, "parameter": "file_name"}])


def check_content(chunks: Iterable[bytes], media_type: str) -> Iterator[bytes]:
    """The chunks of a file, none of which is returned before its signature is checked.

    Raises:
        Problem: 422, the file is not what its media type says.
    """
    signature = FILE_TYPES[media_type].signature
    if signature is None:
        yield from _check_text(chunks, media_type)
        return
    iterator, head = iter(chunks), b""
    while len(head) < _HEAD_BYTES and (chunk := next(iterator, b"")):
        head += chunk
    if head and not signature.match(head):
        raise _content_problem(media_type)
    yield head
    yield from iterator


def _check_text(chunks: Iterable[bytes], media_type: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks:
            if "\0" in decoder.decode(chunk):
                raise _content_problem(media_type)
            yield chunk
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _content_problem(media_type) from error


def _content_problem(media_type: str) -> Problem:
    is_text = FILE_TYPES[media_type].signature is None
    detail = f"The file is not {'text in UTF-8' if is_text else media_type}."
    return Problem("validation-error", errors=[{"detail": detail, "pointer": "#"}])

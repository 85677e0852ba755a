"""Files as programs write them, as UTF-8 with LF or CR LF at the end of each line.

Spreadsheets write a byte order mark or UTF-16, and Excel for Mac ends lines with CR alone.
"""

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import IO, NamedTuple

from app.core.files.uploads import CHUNK_BYTES, ChunkStream, UploadError

SWAP_LINE_ENDS = bytes.maketrans(b"\r\n", b"\n\r")  # applied twice, it changes nothing

_EXPORT_AS_CSV = "is a document of a spreadsheet program, not text. Export it as CSV."
_NO_TEXT = {
    b"PK\x03\x04": f"The file {_EXPORT_AS_CSV}",  # .xlsx, .ods and .numbers are ZIP archives
    b"\xd0\xcf\x11\xe0": f"The file {_EXPORT_AS_CSV}",  # .xls
    b"\x1f\x8b": "The file is compressed. Send it with Content-Encoding: gzip.",
    b"\xff\xfe\x00\x00": "The file is UTF-32. Save it as UTF-8.",
    b"\x00\x00\xfe\xff": "The file is UTF-32. Save it as UTF-8.",
}
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: None,
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class TextStream(NamedTuple):
    """A stream of UTF-8 lines that end in LF."""

    stream: IO[bytes]
    swapped: bool  # lines ended in CR: translate a line with SWAP_LINE_ENDS to get its bytes


def open_text(stream: IO[bytes]) -> TextStream:
    """The text of a file in UTF-8 or UTF-16, without its byte order mark.

    Bytes that are not valid in the encoding become bytes that are not valid UTF-8.

    Raises:
        UploadError: the file is not text; also later, when the stream is read.
    """
    head = stream.read(CHUNK_BYTES)
    for signature, reason in _NO_TEXT.items():
        if head.startswith(signature):
            raise UploadError(reason)
    encoding = _utf16_without_mark(head)
    for mark, marked_encoding in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            encoding, head = marked_encoding, head.removeprefix(mark)
    chunks: Iterator[bytes] = chain([head], iter(partial(stream.read, CHUNK_BYTES), b""))
    if encoding:
        chunks = _as_utf8(chunks, encoding)
    first = next(chunks, b"")
    line_end = re.search(rb"\r+\n|\n|\r", first)
    swapped = line_end is not None and line_end[0] == b"\r"
    chunks = chain([first], chunks)
    if swapped:
        chunks = (chunk.translate(SWAP_LINE_ENDS) for chunk in chunks)
    return TextStream(io.BufferedReader(ChunkStream(chunks), CHUNK_BYTES), swapped)


def _utf16_without_mark(head: bytes) -> str | None:
    """The encoding of a file that begins with an ASCII character in UTF-16."""
    zeros = [byte == 0 for byte in head[:2]]
    if zeros == [False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False] else None


def _as_utf8(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"  # half a character at the end

"""The lines of a file in constant memory, and the records that are read from them."""

from typing import IO, Any, NamedTuple

MAX_RECORD_LENGTH = 64 * 1024  # bytes of a record
TOO_LONG = f"The line is longer than {MAX_RECORD_LENGTH} bytes."


class Record(NamedTuple):
    """The members for a schema to load, or the error for which there are none.

    A blank line has neither: readers return it, so that each step of an iteration is a bounded one.
    """

    line: int  # its first line, from 1
    members: dict[str, Any] | None
    error: str = ""


class Line(NamedTuple):
    """A line with its line break; None in place of one that is longer than MAX_RECORD_LENGTH."""

    number: int  # from 1
    raw: bytes | None


class RecordLines:
    """An iterator over the lines of a file; lines can be pushed back, to be read again."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._number = stream, 0
        self._pushed_back: list[Line] = []  # the next one is the last

    def __iter__(self) -> "RecordLines":
        return self

    def __next__(self) -> Line:
        if self._pushed_back:
            return self._pushed_back.pop()
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
        """Read these lines, in their order, before the rest of the file."""
        self._pushed_back.extend(reversed(lines))

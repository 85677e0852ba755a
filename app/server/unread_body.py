"""`Connection: close` on responses sent before the body was read (RFC 9112 section 9.6)."""

from typing import Any

from gunicorn.http.body import Body
from gunicorn.http.message import Request

# Gunicorn discards this much of an unread body and keeps the connection.
DISCARDED_BYTES = 64 * 1024


class _Reader:
    """Reads a body for gunicorn, and lets the connection be reused once it is read completely."""

    def __init__(self, req: Request, length: int | None) -> None:
        self._req, self._reader, self._left = req, req.body.reader, length

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        data: bytes = self._reader.read(size)
        if self._left is not None:
            self._left -= len(data)
        if self._left == 0 or (size and not data):
            self._req.must_close = False
        return data


def close_unless_read(req: Request) -> None:
    """Announce and close the connection after this request unless its body is read by then."""
    fields: dict[str, Any] = dict(req.headers)
    length = None if "TRANSFER-ENCODING" in fields else int(fields.get("CONTENT-LENGTH") or 0)
    # A client that waits for 100 Continue may or may not send the body after a refusal.
    may_stay = length is not None and length < DISCARDED_BYTES and "EXPECT" not in fields
    if not (may_stay or length == 0 or req.must_close):
        req.force_close()
        req.body = Body(_Reader(req, length))

"""Clients that are slow: how long a thread waits for one, and how many threads do so at once.

A thread that waits for a client does nothing else. Without a limit a few clients that send or read
a byte from time to time would stop a worker. docs/decisions.md#71-slow-clients
"""

import contextlib
import io
import math
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Lock, get_ident
from typing import Any

from werkzeug.exceptions import HTTPException, RequestTimeout, ServiceUnavailable

GRACE = 10.0  # seconds in which a client may be idle altogether, in each phase of a request
RATE = 16 * 1024  # bytes a second that it must send and read beyond that
LONGEST = 3600.0  # seconds that a body may take
PATIENCE = 1.0  # seconds of waiting after which a client is slow
PIECE = 64 * 1024  # bytes that are waited for at once
RETRY_AFTER = 5  # seconds, of a request that is refused because too many others are slow

Wsgi = Callable[..., Iterable[bytes]]


class Client:
    """The client of one connection, and since when a thread waits for it."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self._lock = Lock()  # a client is disconnected only while a thread waits for it
        self.wait(GRACE)

    def wait(self, seconds: float, *, waited: float = 0.0, refusable: bool = False) -> None:
        """Begin to wait, at most `seconds`.

        Args:
            waited: the seconds for which this phase of the request has been waited for before.
            refusable: a response can still be sent; else the connection is only closed.
        """
        with self._lock:
            now = time.monotonic()
            self.since, self.deadline = now - waited, now + seconds
            self.refusal: HTTPException | None = None
            self._half = socket.SHUT_RD if refusable else socket.SHUT_RDWR

    def pause(self) -> float:
        """End a wait, and return the seconds that this phase has been waited for."""
        with self._lock:
            waited, self.since = time.monotonic() - self.since, math.inf
            return waited

    def disconnect(self, refusal: HTTPException) -> None:
        """Wake the thread that waits; reading a body then raises the refusal."""
        with self._lock, contextlib.suppress(OSError):  # the client was faster
            if self.since != math.inf:
                self.refusal = refusal
                self.wire.shutdown(self._half)


class SlowClients:
    """The clients that the threads of a worker serve.

    Half of the threads, at least one, may wait for slow clients at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._limit = max(1, threads // 2)
        self._clients: dict[int, Client] = {}  # by thread

    @contextlib.contextmanager
    def serving(self, wire: socket.socket) -> Iterator[Client]:
        """Register the client that the current thread serves in the block."""
        client = self._clients[get_ident()] = Client(wire)
        try:
            yield client
        finally:
            del self._clients[get_ident()]

    def disconnect_slowest(self) -> None:
        """Disconnect clients whose time is over, and those beyond the limit; called each second."""
        now = time.monotonic()
        slow = [client for client in list(self._clients.values()) if now - client.since > PATIENCE]
        slow.sort(key=lambda client: client.since)  # the last ones have to go
        for number, client in enumerate(slow):
            if now > client.deadline:
                client.disconnect(RequestTimeout())
            elif number >= self._limit:
                client.disconnect(ServiceUnavailable(retry_after=RETRY_AFTER))

    def watch(self, app: Wsgi) -> Wsgi:
        """Return the WSGI application so that its reads and writes are watched."""

        def watched(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            client = self._clients[get_ident()]
            client.pause()
            body = _Body(environ["wsgi.input"], client)
            environ["wsgi.input"] = io.BufferedReader(body)
            return _Response(app(environ, start_response), client)

        return watched


class _Body(io.RawIOBase):
    """The body of a request. Reading it raises 408 or 503 if the client was disconnected."""

    def __init__(self, source: Any, client: Client) -> None:
        self._source, self._client = source, client
        self._received, self._waited = 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), PIECE)
        allowed = min(GRACE + (self._received + size) / RATE, LONGEST)
        self._client.wait(allowed - self._waited, waited=self._waited, refusable=True)
        try:
            data = self._source.read(size)
        except Exception as error:  # gunicorn's, for chunks that end too early
            raise self._client.refusal or error from error
        finally:
            self._waited = self._client.pause()
        if self._client.refusal:
            raise self._client.refusal
        buffer[: len(data)] = data
        self._received += len(data)
        return len(data)


class _Response:
    """The body of a response. gunicorn sends an item before it asks for the next one."""

    def __init__(self, body: Iterable[bytes], client: Client) -> None:
        self._body, self._client = body, client

    def __iter__(self) -> Iterator[bytes]:
        for item in self._body:
            self._client.wait(GRACE + len(item) / RATE)
            yield item
            self._client.pause()

    def close(self) -> None:
        self._client.pause()
        if hasattr(self._body, "close"):
            self._body.close()
        self._client.wait(GRACE)  # for the rest of a body that was not read


def linger(wire: socket.socket) -> None:
    """Close a connection so that its last response arrives (RFC 9112 section 9.6).

    gunicorn does so in its main thread, which would wait for each slow client.
    """
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_WR)
        wire.settimeout(PATIENCE)
        deadline, unread = time.monotonic() + PATIENCE, PIECE
        while unread > 0 and time.monotonic() < deadline and (data := wire.recv(unread)):
            unread -= len(data)
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RD)

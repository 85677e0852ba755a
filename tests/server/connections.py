"""Requests to gunicorn as bytes on a connection."""

import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any

from tests import services
from tests.live import Live

LIMIT = 2000  # bytes of a body

HIGH_LIMITS = {"RATE_LIMIT": "100000 per minute", "LOGIN_RATE_LIMIT": "100000 per minute"}

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}

_numbers = itertools.count(1)


def mug(**members: Any) -> dict[str, Any]:
    """The body of a product with a new SKU."""
    sku = f"LIVE-{next(_numbers)}"
    return {
        "sku": sku,
        "name": "Mug",
        "category": "live",
        "price": "1",
        "currency": "EUR",
    } | members


@contextmanager
def connect(live: Live) -> Iterator[socket.socket]:
    host, _, port = live.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=services.SECONDS) as wire:
        yield wire


def answer(wire: socket.socket) -> tuple[HTTPResponse, bytes]:
    """The next response of the connection and its body."""
    response = HTTPResponse(wire)
    response.begin()
    return response, response.read()


def ask(live: Live, sent: bytes) -> tuple[HTTPResponse, bytes]:
    """The response to these bytes and its body."""
    with connect(live) as wire:
        wire.sendall(sent)
        return answer(wire)


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *(f"{n}: {v}" for n, v in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def check_problem(response: HTTPResponse, body: bytes, status: int) -> None:
    """Check that a response is a complete problem with the security headers."""
    problem = json.loads(body)
    assert response.status == status, problem
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == status
    assert {"type", "title", "detail", "instance", "request_id"} <= set(problem)
    assert response.headers["X-Request-ID"] == problem["request_id"]
    assert {name: response.headers[name] for name in SECURITY} == SECURITY

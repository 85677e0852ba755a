"""Errors of the shipped nginx while the service is down: for every location and size of a body."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPResponse

import pytest

from tests import services
from tests.live import Live
from tests.nginx import Nginx, in_front_of

MIB = 1024 * 1024
# The largest body that nginx accepts, by location.
LOCATIONS = {
    "/api/v1/articles": MIB,
    "/api/v1/articles/batch": MIB,
    "/api/v1/articles/imports": 256 * MIB,
    "/svc/api/v1/articles/imports": 256 * MIB,
    "/api/v1/notes/019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07": MIB,
    "/health/live": MIB,
    "/": MIB,
}


@pytest.fixture(scope="module")
def down(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx, whose service is not running."""
    stopped = Live(f"http://127.0.0.1:{services.free_port()}", None, None)  # type: ignore[arg-type]
    with in_front_of(stopped, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


def send(nginx: Nginx, method: str, path: str, framing: str, body: bytes) -> HTTPResponse:
    with socket.create_connection(("127.0.0.1", nginx.port), services.SECONDS) as wire:
        head = f"{method} {path} HTTP/1.1\r\nHost: a.example\r\n{framing}\r\n\r\n"
        with suppress(OSError):  # it may answer before the end of the body
            wire.sendall(head.encode() + body)
        response = HTTPResponse(wire)
        response.begin()
        response.problem = json.loads(response.read())  # type: ignore[attr-defined]
        return response


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("size", [0, 1, 100_000, MIB, 2 * MIB, 256 * MIB, 257 * MIB, 10**15])
@pytest.mark.parametrize("path", LOCATIONS)
def test_request_with_a_declared_body_is_503_or_413(
    down: Nginx, path: str, size: int, method: str
) -> None:
    sent = b"x" * min(size, 4096)  # of a larger body only the beginning
    if 4096 < size <= MIB:
        sent = b"x" * size  # nginx reads it whole before it forwards it
    response = send(down, method, path, f"Content-Length: {size}", sent)
    problem = response.problem  # type: ignore[attr-defined]
    assert response.status == (413 if size > LOCATIONS[path] else 503), problem
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["status"] == response.status
    assert (response.headers["Retry-After"] is not None) == (response.status == 503)


@pytest.mark.parametrize("size", [1, 100_000, 2 * MIB])
@pytest.mark.parametrize("path", LOCATIONS)
def test_request_in_chunks_is_503_or_413(down: Nginx, path: str, size: int) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size)
    response = send(down, "POST", path, "Transfer-Encoding: chunked", body)
    assert response.status == (413 if size > LOCATIONS[path] else 503)
    assert response.headers["Content-Type"] == "application/problem+json"

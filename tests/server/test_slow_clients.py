"""Slow clients on every streaming route, with gunicorn alone and behind nginx."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest

from app.server import slow_clients
from app.server.slow_clients import SlowClients
from tests import services
from tests.live import Live, serve
from tests.nginx import in_front_of

pytestmark = pytest.mark.slow

CLIENTS = 10  # more than the threads of the service
IDLE = 3.0  # seconds between two bytes


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    settings = {"CACHE_DIR": str(folder), "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    names = ("RATE_LIMIT", "BULK_RATE_LIMIT", "LOGIN_RATE_LIMIT")
    limits = dict.fromkeys(names, "100000 per minute")
    with serve(f"sqlite:///{folder}/live.db", WEB_THREADS="4", **settings, **limits) as live:
        yield live


@pytest.fixture(scope="module")
def proxied(direct: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The service behind its nginx."""
    with in_front_of(direct, tmp_path_factory.mktemp("nginx")) as nginx:
        yield replace(direct, url=f"http://127.0.0.1:{nginx.port}")


@contextmanager
def trickling(live: Live, head: str, number: int = CLIENTS) -> Iterator[list[socket.socket]]:
    """Connections on which this is sent, and then a byte from time to time."""
    url, ended = urlsplit(live.url), threading.Event()

    def send(wire: socket.socket) -> None:
        while not ended.wait(IDLE):
            try:
                wire.sendall(b"x")
            except OSError:
                return  # the service has closed the connection

    with ExitStack() as stack:
        wires = []
        for _ in range(number):
            wire = socket.create_connection((url.hostname, url.port), services.SECONDS)
            wires.append(stack.enter_context(wire))
            wire.sendall(head.encode())
            thread = threading.Thread(target=send, args=(wire,))
            thread.start()
            stack.callback(thread.join)
        stack.callback(ended.set)
        yield wires


def answer(wire: socket.socket) -> tuple[HTTPResponse, bytes]:
    response = HTTPResponse(wire)
    response.begin()
    return response, response.read()


def upload(live: Live, framing: str) -> str:
    fields = {"Host": "localhost", "Content-Type": "text/csv", **live.log_in()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /api/v1/errands/imports HTTP/1.1\r\n{lines}{framing}\r\n\r\n"


def liveness_is_answered(live: Live) -> None:
    """Ask for a while; each request is answered."""
    for _ in range(4):
        wire = urlsplit(live.url)
        with socket.create_connection((wire.hostname, wire.port), services.SECONDS) as probe:
            probe.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer(probe)[0].status == 200
        time.sleep(0.5)


@pytest.mark.parametrize(
    ("where", "framing"),
    [
        ("direct", "Content-Length: 100000000"),
        ("direct", "Transfer-Encoding: chunked"),
        ("proxied", "Content-Length: 100000000"),
    ],
)
def test_liveness_is_answered_during_slow_uploads(
    request: pytest.FixtureRequest, where: str, framing: str
) -> None:
    live: Live = request.getfixturevalue(where)
    head = upload(live, framing) + ("5f5e100\r\n" if "chunked" in framing else "")
    with trickling(live, head) as wires:
        liveness_is_answered(live)
        found = [answer(wire) for wire in wires]
    statuses = [response.status for response, _ in found]
    assert set(statuses) <= {503, 408}
    assert statuses.count(503) >= CLIENTS - 4
    for response, body in found:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert json.loads(body)["status"] == response.status
        assert response.status == 408 or response.headers["Retry-After"] == "5"


SLOW = {
    "header section": "GET /api/v1/articles HTTP/1.1\r\nX-Slow: ",
    "body": "POST /api/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    "\r\nContent-Length: 1000\r\n\r\n",
    "body that is not read": "POST /api/v1/errands/imports HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Length: 1000000\r\n\r\n",
    "nothing": "",
}


@pytest.mark.parametrize("head", SLOW.values(), ids=SLOW)
def test_liveness_is_answered_while_slow_clients_send(direct: Live, head: str) -> None:
    with trickling(direct, head):
        liveness_is_answered(direct)


# begin docs
def test_liveness_is_answered_while_clients_do_not_read(direct: Live) -> None:
    url = urlsplit(direct.url)
    with ExitStack() as stack:
        for _ in range(CLIENTS):
            wire = stack.enter_context(socket.socket())
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.connect((url.hostname, url.port))
            ask = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
            wire.sendall(ask * 20)
        liveness_is_answered(direct)


# end docs
def test_upload_at_a_moderate_rate_is_accepted(direct: Live) -> None:
    lines = b"sku,name,category,price,currency\r\n" + b"SLOW-1,Mug,slow,1.00,EUR\r\n" * 2
    url = urlsplit(direct.url)
    with socket.create_connection((url.hostname, url.port), services.SECONDS) as wire:
        wire.sendall(upload(direct, f"Content-Length: {len(lines)}").encode())
        for start in range(0, len(lines), 20):
            wire.sendall(lines[start : start + 20])
            time.sleep(0.5)
        response, body = answer(wire)
    assert response.status == 202, body


# --- the rules, without a clock of their own -----------------------------------------------------


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(slow_clients, "time", clock)
    return clock


class Served:
    """A client that a thread of the worker serves until the test ends."""

    def __init__(self, clients: SlowClients, stack: ExitStack) -> None:
        self.here, self.there = socket.socketpair()
        started, ended = threading.Event(), threading.Event()

        def run() -> None:
            with clients.serving(self.here) as self.client:
                started.set()
                ended.wait()

        thread = threading.Thread(target=run)
        thread.start()
        started.wait()
        for end in (self.here.close, self.there.close, thread.join, ended.set):
            stack.callback(end)

    def is_connected(self) -> bool:
        self.there.setblocking(False)
        try:
            return self.there.recv(1) != b""
        except BlockingIOError:
            return True


@pytest.fixture
def serve_clients(clock: Clock) -> Iterator[Callable[[SlowClients, int], list[Served]]]:
    with ExitStack() as stack:

        def serve(clients: SlowClients, number: int) -> list[Served]:
            served = []
            for _ in range(number):
                served.append(Served(clients, stack))
                clock.now += 0.001
            return served

        yield serve


def test_half_of_the_threads_wait_for_slow_clients(
    clock: Clock, serve_clients: Callable[[SlowClients, int], list[Served]]
) -> None:
    clients = SlowClients(4)
    served = serve_clients(clients, 4)
    served[0].client.pause()  # the service works
    clock.now += slow_clients.PATIENCE / 2
    clients.disconnect_slowest()
    assert all(each.is_connected() for each in served)
    clock.now += slow_clients.PATIENCE
    clients.disconnect_slowest()
    assert [each.is_connected() for each in served] == [True, True, True, False]


def test_client_is_disconnected_after_its_time(
    clock: Clock, serve_clients: Callable[[SlowClients, int], list[Served]]
) -> None:
    clients = SlowClients(4)
    [one] = serve_clients(clients, 1)
    clock.now += slow_clients.GRACE - 1
    clients.disconnect_slowest()
    assert one.is_connected()
    clock.now += 2
    clients.disconnect_slowest()
    assert not one.is_connected()

"""The service in gunicorn, as shipped: malformed HTTP, concurrency and signals."""

import itertools
import json
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import flask_swagger_ui
import pytest

from tests import services
from tests.conftest import new_database
from tests.live import Live, copy_release, serve, wait_until

LIMIT = 2000  # bytes of a body
HIGH_LIMITS = {"RATE_LIMIT": "100000 per minute", "LOGIN_RATE_LIMIT": "100000 per minute"}
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_numbers = itertools.count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """The service, shared by tests that leave it running."""
    folder = tmp_path_factory.mktemp("live")
    with new_database(request, request.param, folder) as url:
        settings = {"CACHE_DIR": str(folder / "cache"), "MAX_CONTENT_LENGTH": str(LIMIT)}
        with serve(url, **HIGH_LIMITS, **settings) as service:
            yield service


@pytest.fixture(scope="module")
def editor(live: Live) -> dict[str, str]:
    """The header fields of an editor."""
    return live.log_in()


@pytest.fixture
def stoppable(tmp_path: Path) -> Iterator[Live]:
    """The service, for a test that stops it."""
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path), **HIGH_LIMITS) as service:
        yield service


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


# --- HTTP ---------------------------------------------------------------------------------------

GET = b"GET /api/v1/products HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/products HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
REFUSED = {
    "no request line": (b"nonsense\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "a header without a colon": (GET + b"nonsense\r\n\r\n", 400),
    "a space before the colon": (GET + b"Accept : */*\r\n\r\n", 400),
    "a folded header": (GET + b"Accept: */*,\r\n text/html\r\n\r\n", 400),
    "NUL in a header": (GET + b"Accept: \0\r\n\r\n", 400),
    "raw bytes in the path": (b"GET /api/v1/\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400),
    "length and chunks": (
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
    ),
    "chunks, then identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "an unknown expectation": (GET + b"Expect: nonsense\r\n\r\n", 417),
    "an unknown transfer coding": (POST + b"Transfer-Encoding: nonsense\r\n\r\n", 501),
    "a line too long": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    "a header too long": (GET + b"X-Long: " + b"x" * 10_000 + b"\r\n\r\n", 431),
    "headers too many": (GET + b"X-Many: 1\r\n" * 200 + b"\r\n", 431),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), REFUSED.values(), ids=REFUSED)
def test_malformed_http_request_is_answered_with_a_problem(
    live: Live, sent: bytes, status: int
) -> None:
    response, body = ask(live, sent)
    check_problem(response, body, status)
    assert response.headers["Connection"] == "close"
    if (kind := json.loads(body)["type"]) != "about:blank":
        assert ask(live, head("GET", kind, {"Accept": "text/html"}))[0].status == 200


def chunks(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def test_chunked_body_is_read(live: Live, editor: dict[str, str]) -> None:
    fields = {**editor, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    sent = head("POST", "/api/v1/products", fields) + chunks(json.dumps(mug()).encode())
    assert ask(live, sent)[0].status == 201


def test_body_shorter_than_content_length_is_400(live: Live, editor: dict[str, str]) -> None:
    body = json.dumps(mug()).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body) + 1)}
    with connect(live) as wire:
        wire.sendall(head("POST", "/api/v1/products", editor | fields) + body)
        wire.shutdown(socket.SHUT_WR)
        check_problem(*answer(wire), 400)


def test_chunked_body_over_the_limit_is_413(live: Live, editor: dict[str, str]) -> None:
    fields = {**editor, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    body = json.dumps(mug()).encode() + b" " * LIMIT
    response, body = ask(live, head("POST", "/api/v1/products", fields) + chunks(body))
    check_problem(response, body, 413)


def test_body_with_too_large_content_length_is_413_before_it_is_sent(
    live: Live, editor: dict[str, str]
) -> None:
    fields = {**editor, "Content-Type": "application/json", "Content-Length": str(10**12)}
    response, body = ask(live, head("POST", "/api/v1/products", fields))
    check_problem(response, body, 413)


REFUSED_UNREAD = {
    "401": ("POST", "/api/v1/tasks", {}, 401),
    "401 of an upload": ("POST", "/api/v1/products/imports", {"Content-Type": "text/csv"}, 401),
    "404": ("POST", "/nothing", {}, 404),
    "405": ("PUT", "/api/v1/tasks", {}, 405),
    "413": ("POST", "/api/v1/auth/login", {"Content-Type": "application/json"}, 413),
    "415": ("POST", "/api/v1/auth/login", {"Content-Type": "text/plain"}, 415),
    "200": ("GET", "/health/live", {}, 200),
}
LONG_BODIES = {
    "a length": {"Content-Length": "2000000"},
    "chunks": {"Transfer-Encoding": "chunked"},
    "an expectation": {"Content-Length": "1200000", "Expect": "100-continue"},
}


@pytest.mark.parametrize("fields", LONG_BODIES.values(), ids=LONG_BODIES)
@pytest.mark.parametrize("request_", REFUSED_UNREAD.values(), ids=REFUSED_UNREAD)
def test_response_before_the_body_was_read_announces_the_close_of_the_connection(
    live: Live, request_: tuple[str, str, dict[str, str], int], fields: dict[str, str]
) -> None:
    method, path, own, status = request_
    if status == 413 and "Transfer-Encoding" in fields:
        pytest.skip("the length is not known before the body is read")
    with connect(live) as wire:
        wire.sendall(head(method, path, own | fields))
        response, _ = answer(wire)
        assert (response.status, response.headers["Connection"]) == (status, "close")
        wire.shutdown(socket.SHUT_WR)  # so that the server need not wait for the body
        assert wire.recv(1) == b""


@pytest.mark.parametrize("chunked", [True, False])
def test_connection_is_reused_after_a_long_body_was_read(
    live: Live, editor: dict[str, str], chunked: bool
) -> None:
    body = b"sku,name,category,price,currency\n" + b"\n" * 70_000
    fields = {**editor, "Content-Type": "text/csv"}
    fields |= {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
    with connect(live) as wire:
        for _ in range(2):
            wire.sendall(head("POST", "/api/v1/products/imports", fields))
            wire.sendall(chunks(body) if chunked else body)
            response, _ = answer(wire)
            assert (response.status, response.headers["Connection"]) == (202, "keep-alive")


def test_connection_is_reused_after_a_short_body_was_refused(live: Live) -> None:
    with connect(live) as wire:
        for _ in range(2):
            wire.sendall(head("POST", "/api/v1/tasks", {"Content-Length": "1000"}) + b" " * 1000)
            response, _ = answer(wire)
            assert (response.status, response.headers["Connection"]) == (401, "keep-alive")


def test_malformed_chunks_are_400(live: Live, editor: dict[str, str]) -> None:
    fields = {**editor, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    response, body = ask(live, head("POST", "/api/v1/products", fields) + b"nonsense\r\n")
    check_problem(response, body, 400)


def test_connection_is_reused_for_further_requests(live: Live) -> None:
    with connect(live) as wire:
        for path in ("/health/live", "/nothing", "/health/ready"):
            wire.sendall(head("GET", path, {}))
            response, _ = answer(wire)
            assert response.status == (404 if path == "/nothing" else 200)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_static_file_is_sent_completely(live: Live, method: str) -> None:
    file = Path(flask_swagger_ui.__file__).parent / "dist" / "swagger-ui.css"
    with connect(live) as wire:
        wire.sendall(head(method, f"/docs/{file.name}", {}))
        response = HTTPResponse(wire, method=method)
        response.begin()
        body = response.read()
    assert response.headers["Content-Length"] == str(file.stat().st_size)
    assert body == (file.read_bytes() if method == "GET" else b"")


def test_every_line_of_the_gunicorn_log_is_json(live: Live) -> None:
    forged = b'\n{"event": "forged"}'.hex("%")
    for path in ("/api/v1/products", f"/%{forged}", f"/problems/%{forged}"):
        ask(live, head("GET", path, {"User-Agent": '"}{"', "X-Request-ID": '{"a": "b"}'}))
    ask(live, b'GET / {"event": "forged"}\r\n\r\n')
    events = [json.loads(line)["event"] for line in live.log.read_text().splitlines()]
    assert {"request", "Answered 400 for InvalidHTTPVersion"} <= set(events)
    assert any(event.startswith("Booting worker") for event in events)
    assert "forged" not in events


def test_refused_request_is_logged_with_the_request_id_of_its_response(live: Live) -> None:
    _, body = ask(live, b"nonsense\r\n\r\n")
    lines = [json.loads(line) for line in live.log.read_text().splitlines()]
    request_id = json.loads(body)["request_id"]
    (line,) = (line for line in lines if line.get("request_id") == request_id)
    assert (line["event"], line["level"]) == ("Answered 400 for InvalidRequestLine", "warning")


# --- concurrency --------------------------------------------------------------------------------


def test_one_of_fifty_concurrent_updates_of_a_version_succeeds(
    live: Live, editor: dict[str, str]
) -> None:
    created = live.call("POST", "products", mug(), editor)
    path, headers = f"products/{created.json['id']}", editor | {"If-Match": created.headers["ETag"]}
    start = threading.Barrier(50)

    def change(number: int) -> int:
        start.wait()
        return live.call("PATCH", path, {"stock": number}, headers).status

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(change, range(50)))
    after = live.call("GET", path, headers=editor).json
    assert sorted(statuses) == [200] + [412] * 49
    assert (after["version"], after["stock"]) == (2, statuses.index(200))


def test_one_of_twenty_concurrent_creates_with_a_sku_succeeds(
    live: Live, editor: dict[str, str]
) -> None:
    same, start = mug(), threading.Barrier(20)

    def create(_: int) -> int:
        start.wait()
        return live.call("POST", "products", same, editor).status

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(create, range(20))) == [201] + [409] * 19


# --- signals ------------------------------------------------------------------------------------


@contextmanager
def request_in_flight(live: Live) -> Iterator[None]:
    """Send a request before the block and its body after the block; check that it succeeds."""
    body = json.dumps(mug()).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {**live.log_in(), "Expect": "100-continue"}
    with connect(live) as wire:
        wire.sendall(head("POST", "/api/v1/products", fields))
        assert wire.recv(100).startswith(b"HTTP/1.1 100")  # a thread is processing it
        yield
        wire.sendall(body)
        assert answer(wire)[0].status == 201


def test_request_in_flight_is_finished_after_sigterm(stoppable: Live) -> None:
    with request_in_flight(stoppable):
        stoppable.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in stoppable.log.read_text())
    assert stoppable.process.wait(services.SECONDS) == 0


def test_stopping_service_refuses_connections_while_it_finishes_requests(stoppable: Live) -> None:
    """A proxy then tries another instance; an accepted connection would never be answered."""
    with request_in_flight(stoppable):
        stoppable.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(stoppable))


def refuses_connections(live: Live) -> bool:
    try:
        with connect(live):
            return False
    except ConnectionRefusedError:
        return True


@pytest.mark.slow
def test_draining_service_is_not_ready_and_serves_requests(tmp_path: Path) -> None:
    hours = str(24 * 60 * 60)
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path), DRAIN_SECONDS=hours) as it:
        ready = head("GET", "/health/ready", {})
        assert ask(it, ready)[0].status == 200
        it.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(it, ready)[0].status == 503)
        for _ in range(10):  # answered by both workers
            response, body = ask(it, ready)
            check_problem(response, body, 503)
            assert int(response.headers["Retry-After"]) > 0
            assert ask(it, head("GET", "/health/live", {}))[0].status == 200
            assert it.call("GET", "products").status == 200
        it.process.send_signal(signal.SIGTERM)  # a second one does not wait
        assert it.process.wait(services.SECONDS) == 0


@pytest.mark.slow
def test_reload_under_load_loses_no_request(live: Live, editor: dict[str, str]) -> None:
    category, finished = f"load-{next(_numbers)}", threading.Event()

    def load(number: int) -> list[int]:
        statuses = []
        while not finished.is_set():
            if number % 2:
                product = mug(category=category)
                statuses.append(live.call("POST", "products", product, editor).status)
            else:
                statuses.append(live.call("GET", "products?limit=5").status)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, number) for number in range(4)]
        try:
            old = set(live.workers())
            live.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(live.workers()) == 2 and not old & set(live.workers()))
        finally:
            finished.set()
    statuses = [status for each in loads for status in each.result()]
    assert set(statuses) == {200, 201}
    assert count(live, category) == statuses.count(201)


@pytest.fixture
def released(tmp_path: Path) -> Iterator[tuple[Live, Path]]:
    """The service and a copy of its code that a test may change."""
    root = copy_release(tmp_path / "release")
    url = f"sqlite:///{tmp_path}/live.db"
    with serve(url, root=root, CACHE_DIR=str(tmp_path / "cache"), **HIGH_LIMITS) as service:
        yield service, root


@pytest.mark.slow
@pytest.mark.parametrize("file", ["wsgi.py", "app/server/worker.py", "gunicorn.conf.py"])
def test_reload_of_code_that_does_not_load_keeps_the_old_workers(
    released: tuple[Live, Path], file: str
) -> None:
    live, root = released
    assert live.call("GET", "products").status == 200  # the service has booted
    good, old = (root / file).read_text(), live.workers()
    (root / file).write_text("import missing_module\n")
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "No module named 'missing_module'" in live.log.read_text())
    assert live.call("GET", "products").status == 200
    assert live.workers() == old
    (root / file).write_text(good)
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(live.workers()) == 2 and not set(old) & set(live.workers()))
    assert live.call("GET", "products").status == 200


@pytest.mark.slow
def test_reload_loads_new_code_of_the_application_and_the_worker_class(
    released: tuple[Live, Path],
) -> None:
    live, root = released
    assert live.call("GET", "products").status == 200
    files = ("app/__init__.py", "app/server/worker.py")
    for file in files:
        line = f"import logging; logging.getLogger('gunicorn.error').warning('new {file}')\n"
        with (root / file).open("a") as code:
            code.write(line)
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: all(f"new {file}" in live.log.read_text() for file in files))


def delay_boot_until(go: Path, code: Path) -> None:
    """Make workers that load the file `code` wait until the file `go` exists."""
    wait = "import os, pathlib, time\nwhile 'METRICS_SLOT' in os.environ"  # workers only
    code.write_text(
        f"{wait} and not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n{code.read_text()}"
    )


@pytest.mark.slow
def test_old_workers_serve_until_the_new_workers_have_booted(released: tuple[Live, Path]) -> None:
    live, root = released
    assert live.call("GET", "products").status == 200
    old, go = set(live.workers()), root / "go"
    delay_boot_until(go, root / "wsgi.py")
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(live.workers()) == 4)
    for _ in range(20):
        assert live.call("GET", "products").status == 200
    assert old < set(live.workers())
    go.touch()
    wait_until(lambda: len(live.workers()) == 2 and not old & set(live.workers()))
    assert live.call("GET", "products").status == 200


@pytest.mark.slow
def test_old_workers_end_on_sigterm_while_new_workers_boot(released: tuple[Live, Path]) -> None:
    live, root = released
    assert live.call("GET", "products").status == 200
    old, go = set(live.workers()), root / "go"
    delay_boot_until(go, root / "wsgi.py")
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(live.workers()) == 4)
    live.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not old & set(live.workers()))
    go.touch()
    assert live.process.wait(services.SECONDS) == 0
    # The reload ends when the old workers have; only then does gunicorn handle the next signal.
    before, _, _ = live.log.read_text().partition("Handling signal: term")
    assert all(f"Worker exiting (pid: {pid})" in before for pid in old)


def count(live: Live, category: str) -> int:
    """The number of products of the category, counted page by page."""
    found, more = 0, ""
    while more is not None:
        query = f"category={category}&limit=100" + (f"&cursor={more}" if more else "")
        page = live.call("GET", f"products?{query}").json
        found, more = found + len(page["items"]), page["next_cursor"]
    return found

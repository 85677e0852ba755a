"""The service in gunicorn, as shipped: malformed HTTP, bodies, connections."""

import json
import socket
from http.client import HTTPResponse
from pathlib import Path

import flask_swagger_ui
import pytest

from tests.live import Live
from tests.server.connections import LIMIT, answer, ask, check_problem, connect, head, mug

pytestmark = pytest.mark.slow

GET = b"GET /api/v1/articles HTTP/1.1\r\nHost: localhost\r\n"

POST = b"POST /api/v1/articles HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

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
    # begin docs
    if (kind := json.loads(body)["type"]) != "about:blank":
        assert ask(live, head("GET", kind, {"Accept": "text/html"}))[0].status == 200
    # end docs


def chunks(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def test_chunked_body_is_read(live: Live, editor: dict[str, str]) -> None:
    fields = {**editor, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    sent = head("POST", "/api/v1/articles", fields) + chunks(json.dumps(mug()).encode())
    assert ask(live, sent)[0].status == 201


def test_body_shorter_than_content_length_is_400(live: Live, editor: dict[str, str]) -> None:
    body = json.dumps(mug()).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body) + 1)}
    with connect(live) as wire:
        wire.sendall(head("POST", "/api/v1/articles", editor | fields) + body)
        wire.shutdown(socket.SHUT_WR)
        check_problem(*answer(wire), 400)


def test_chunked_body_over_the_limit_is_413(live: Live, editor: dict[str, str]) -> None:
    fields = {**editor, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    body = json.dumps(mug()).encode() + b" " * LIMIT
    response, body = ask(live, head("POST", "/api/v1/articles", fields) + chunks(body))
    check_problem(response, body, 413)


def test_body_with_too_large_content_length_is_413_before_it_is_sent(
    live: Live, editor: dict[str, str]
) -> None:
    fields = {**editor, "Content-Type": "application/json", "Content-Length": str(10**12)}
    response, body = ask(live, head("POST", "/api/v1/articles", fields))
    check_problem(response, body, 413)


REFUSED_UNREAD = {
    "401": ("POST", "/api/v1/errands", {}, 401),
    "401 of an upload": ("POST", "/api/v1/errands/imports", {"Content-Type": "text/csv"}, 401),
    "404": ("POST", "/nothing", {}, 404),
    "405": ("PUT", "/api/v1/errands", {}, 405),
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
            wire.sendall(head("POST", "/api/v1/errands/imports", fields))
            wire.sendall(chunks(body) if chunked else body)
            response, _ = answer(wire)
            assert (response.status, response.headers["Connection"]) == (202, "keep-alive")


def test_connection_is_reused_after_a_short_body_was_refused(live: Live) -> None:
    with connect(live) as wire:
        for _ in range(2):
            wire.sendall(head("POST", "/api/v1/errands", {"Content-Length": "1000"}) + b" " * 1000)
            response, _ = answer(wire)
            assert (response.status, response.headers["Connection"]) == (401, "keep-alive")


def test_malformed_chunks_are_400(live: Live, editor: dict[str, str]) -> None:
    fields = {**editor, "Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    response, body = ask(live, head("POST", "/api/v1/articles", fields) + b"nonsense\r\n")
    check_problem(response, body, 400)


def test_connection_is_reused_for_further_requests(live: Live) -> None:
    with connect(live) as wire:
        for path in ("/health/live", "/nothing", "/health/ready"):
            wire.sendall(head("GET", path, {}))
            response, _ = answer(wire)
            assert response.status == (404 if path == "/nothing" else 200)


# begin docs
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


# end docs
def test_every_line_of_the_gunicorn_log_is_json(live: Live) -> None:
    forged = b'\n{"event": "forged"}'.hex("%")
    for path in ("/api/v1/articles", f"/%{forged}", f"/problems/%{forged}"):
        ask(live, head("GET", path, {"User-Agent": '"}{"', "X-Request-ID": '{"a": "b"}'}))
    ask(live, b'GET / {"event": "forged"}\r\n\r\n')
    events = [json.loads(line)["event"] for line in live.log_lines()]
    assert {"request", "Answered 400 for InvalidHTTPVersion"} <= set(events)
    assert any(event.startswith("Booting worker") for event in events)
    assert "forged" not in events


def test_refused_request_is_logged_with_the_request_id_of_its_response(live: Live) -> None:
    _, body = ask(live, b"nonsense\r\n\r\n")
    lines = [json.loads(line) for line in live.log_lines()]
    request_id = json.loads(body)["request_id"]
    (line,) = (line for line in lines if line.get("request_id") == request_id)
    assert (line["event"], line["level"]) == ("Answered 400 for InvalidRequestLine", "warning")

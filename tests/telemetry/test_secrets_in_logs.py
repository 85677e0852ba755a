"""No log line contains a secret."""

import io
import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, redirect_stdout, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.api import PASSWORD, Api
from tests.conftest import Lines, MakeApp, migrate_to_head, on_sqlite
from tests.live import serve
from tests.nginx import in_front_of


def test_secrets_are_not_logged(
    logged: Api,
    output: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        logged.app.extensions["jobs"], "send", lambda job_id: None
    )  # mail to the log
    account = {"email": "ada@example.com", "name": "Ada", "password": "Wh1te-rabbit-tea-party"}
    logged.post("users", account, status=201)
    wrong = {"email": "ada@example.com", "password": "Mad-hatter-tea-party"}
    logged.post("auth/login", wrong, status=401)
    right = {name: account[name] for name in ("email", "password")}
    tokens = logged.post("auth/login", right, status=200).json
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    logged.get("users/me", headers=bearer, status=200)
    logged.get("odd/fails", headers=bearer, status=500)
    logged.get(f"users/me?access_token={tokens['access_token']}", status=401)
    refresh = {"refresh_token": tokens["refresh_token"]}
    logged.post("auth/refresh", refresh, status=200)
    logged.post("auth/refresh", refresh)
    written = output.getvalue() + "".join(capfd.readouterr())
    assert "login_failed" in written
    assert "unhandled_exception" in written
    for secret in (
        account["password"], wrong["password"], tokens["access_token"], tokens["refresh_token"],
        "ada@example.com", "argon2",
    ):  # fmt: skip
        assert secret not in written


@on_sqlite
def test_database_error_is_logged_without_statement_values(
    output: io.StringIO, lines: Lines, make_app: MakeApp, another_database_url: str
) -> None:
    with redirect_stdout(output):
        app = make_app(database_url=another_database_url)
    migrate_to_head(app)
    account = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    file = another_database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("DROP TABLE users")
        Api(app).post("users", account, status=500)
    (line,) = lines()
    assert "INSERT INTO users" in line["exception"]
    for value in ("ada@example.com", "argon2", PASSWORD):
        assert value not in line["exception"]


CANARY = "c4nary"  # is part of every secret that the test sends


def send(port: int, sent: bytes) -> None:
    """Send these bytes and wait for the response, which may be incomplete."""
    with (
        suppress(ConnectionError, HTTPException),
        socket.create_connection(("127.0.0.1", port), services.SECONDS) as wire,
    ):
        wire.sendall(sent)
        response = HTTPResponse(wire)
        response.begin()
        response.read()


def send_canaries(port: int) -> None:
    """Send canaries wherever a secret may be, in valid and in invalid requests."""
    canary = f"{CANARY}-of-a-client".encode()
    headers = (
        b"Host: localhost\r\nAuthorization: Bearer %s\r\nCookie: session=%s\r\n"
        b"Idempotency-Key: %s\r\nX-API-Key: %s\r\nConnection: close\r\n" % ((canary,) * 4)
    )
    anonymous = b"Host: localhost\r\nIdempotency-Key: %s\r\nConnection: close\r\n" % canary
    body = b'{"email": "%s@example.com", "password": "%s-and-more"}' % (canary, canary)
    json_body = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    json_body %= len(body), body
    for sent in (
        b"GET /api/v1/articles?access_token=%s HTTP/1.1\r\n%s\r\n" % (canary, headers),
        b"POST /api/v1/auth/login HTTP/1.1\r\n" + anonymous + json_body,
        b"POST /api/v1/users HTTP/1.1\r\n" + anonymous + json_body.replace(b"}", b"]"),
        b"POST /api/v1/errands?q=%s HTTP/1.1\r\n" % canary + headers + json_body,
        # gunicorn refuses these and quotes them in its error
        b"GET /?token=%s\r\n\r\n" % canary,
        b"%s /api/v1/articles HTTP/1.1\r\n%s\r\n" % (canary, headers),
        b"GET /?token=%s HTTP/9.9\r\n%s\r\n" % (canary, headers),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer %s\r\n\r\n" % canary,
        b"GET / HTTP/1.1\r\n%sX-Folded: a\r\n %s\r\n\r\n" % (headers, canary),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: \0%s\r\n\r\n" % canary,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: %s\r\n\r\n" % canary,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: %s\r\n\r\n" % canary,
        b"POST /api/v1/errands HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s\r\n"
        % (headers, canary),
        b"GET /?%s HTTP/1.1\r\n%sX-Long: %s\r\n\r\n" % (canary, headers, b"x" * 40_000),
        b"GET /%s HTTP/1.1\r\n%s\r\n" % (b"x" * 9000 + canary, headers),
    ):
        send(port, sent)


@pytest.fixture(params=["gunicorn", "nginx"])
def verbose_service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The port and database of a service that logs at DEBUG, and a function that reads its logs."""
    gone = f"redis://:{CANARY}@127.0.0.1:{services.free_port()}/0"
    settings = {"LOG_LEVEL": "DEBUG", "REDIS_URL": gone, "CACHE_DIR": str(tmp_path)}
    settings["SECRET_KEY"] = f"{CANARY}, which is long enough for tests"
    database = tmp_path / "live.db"
    with ExitStack() as stack:
        live = stack.enter_context(serve(f"sqlite:///{database}", **settings))
        files = [live.log]
        port = int(live.url.rpartition(":")[2])
        if request.param == "nginx":
            nginx = stack.enter_context(in_front_of(live, tmp_path))
            port, files = nginx.port, [live.log, nginx.access_log, nginx.error_log]
        yield port, database, lambda: "".join(file.read_text() for file in files)


@pytest.mark.slow
def test_logs_of_service_and_nginx_contain_no_secret_of_a_client(verbose_service: Any) -> None:
    port, database, read_logs = verbose_service
    send_canaries(port)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE users RENAME TO gone")
    send_canaries(port)  # now requests fail with a traceback
    text = read_logs()
    assert "database_error" in text
    assert "no such table" in text
    assert CANARY not in text


@pytest.mark.slow
def test_every_line_of_the_nginx_log_is_json(tmp_path: Path) -> None:
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path)) as live:
        with in_front_of(live, tmp_path) as nginx:
            hostile = b'"}\x1b[31m{"event":"forged"\xff\xe2\x80\xa8\\'
            for sent in (
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\n",
                b"GET /api/%s HTTP/1.1\r\nHost: localhost\r\n",
                b"GET / HTTP/1.1\r\nHost: %s\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: %s\r\n",
                b"GET / HTTP/1.1\r\nHost: localhost\r\ntraceparent: %s\r\n",
                b"%s",
            ):
                send(nginx.port, sent % hostile + b"Connection: close\r\n\r\n")
            parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            connection = HTTPConnection("127.0.0.1", nginx.port, timeout=services.SECONDS)
            with closing(connection):
                fields = {"traceparent": parent, "X-Request-ID": "find-me-123"}
                connection.request("GET", "/api/v1/articles?q=word", headers=fields)
                assert connection.getresponse().status == 200
        assert nginx.access_log.read_bytes().isascii()
        lines = [json.loads(line) for line in nginx.access_log.read_bytes().split(b"\n")[:-1]]
        (line,) = (line for line in lines if line["request_id"] == "find-me-123")
    assert len(lines) == 7
    assert {line["event"] for line in lines} == {"request"}
    assert line["trace_id"] == parent[3:35]
    assert (line["path"], line["status"]) == ("/api/v1/articles", 200)

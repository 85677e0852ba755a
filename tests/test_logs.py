"""Logs: one JSON object a line, tied together by the request id; no secrets, no forged lines."""

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from typing import Any
from uuid import UUID

import pytest

from app.kit.access import anyone
from app.kit.blueprint import Blueprint
from tests.api import PASSWORD, Api, Caller
from tests.conftest import MakeApp, migrate_to_head, on_sqlite

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def output() -> io.StringIO:
    """What the application writes to its standard output."""
    return io.StringIO()


@pytest.fixture
def lines(output: io.StringIO) -> Lines:
    """`lines()` is what has been logged since the last time."""

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in output.getvalue().splitlines()]
        assert all(isinstance(line, dict) for line in found)
        output.seek(0)
        output.truncate()
        return found

    return read


@pytest.fixture
def logged(output: io.StringIO, make_app: MakeApp) -> Api:
    """An application that logs as in production."""
    odd = Blueprint("odd", __name__, url_prefix="/odd", description="Fails.")

    @odd.get("/<path:name>", access=anyone)
    @odd.answers(204)
    def fail(name: str) -> None:
        raise RuntimeError(name)

    with redirect_stdout(output):
        return Api(make_app(odd, log_level="INFO"))


# --- request ids -----------------------------------------------------------------------------


@pytest.mark.parametrize("offered", ["a1b2c3d4", "req_2024.01-01", "x" * 128])
def test_a_well_formed_request_id_is_kept(api: Api, offered: str) -> None:
    response = api.get("products", headers={"X-Request-ID": offered}, status=200)
    assert response.headers["X-Request-ID"] == offered


@pytest.mark.parametrize(
    "offered",
    ["", "short", "x" * 129, "has spaces in it", 'quote"quote', "café-café", "a1b2c3d4\t",
     "{}[];,<>", "a1b2c3d4,b1b2c3d4", "%0a%0d%0a%0d"],
)  # fmt: skip
def test_any_other_request_id_is_replaced(api: Api, offered: str) -> None:
    response = api.get("products", headers={"X-Request-ID": offered}, status=200)
    assert UUID(response.headers["X-Request-ID"]).version == 7


@pytest.mark.parametrize("offered", ["a1b2c3d4\n", "a1b2c3d4\r\nX-Evil: 1", "a1b2\0c3d4"])
def test_a_request_id_of_several_lines_is_replaced(api: Api, offered: str) -> None:
    environ = {"HTTP_X_REQUEST_ID": offered}
    response = api.get("products", environ_overrides=environ, status=200)
    assert UUID(response.headers["X-Request-ID"])


def test_requests_without_an_id_have_one_each(api: Api) -> None:
    assert len({api.get("products").headers["X-Request-ID"] for _ in range(5)}) == 5


def test_the_id_is_in_the_answer_the_problem_and_the_log(logged: Api, lines: Lines) -> None:
    response = logged.get("tasks", headers={"X-Request-ID": "find-me-123"}, status=401)
    assert response.headers["X-Request-ID"] == "find-me-123"
    assert response.json["request_id"] == "find-me-123"
    assert [line["request_id"] for line in lines()] == ["find-me-123"]


# --- lines -----------------------------------------------------------------------------------


def test_a_request_is_one_line_that_tells_what_happened(
    logged: Api, lines: Lines, user: Caller
) -> None:
    task = "tasks/00000000-0000-7000-8000-000000000000"
    logged.get(task, by=user, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}, status=404)
    (line,) = lines()
    assert line.pop("milliseconds") > 0
    assert line.pop("timestamp").endswith("Z")
    assert UUID(line.pop("request_id"))
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/api/v1/tasks/<uuid:task_id>",
        "status": 404,
        "caller_id": str(user.id),
        "address": "192.0.2.7",
    }


def test_a_request_that_meets_no_route_is_a_line_too(logged: Api, lines: Lines) -> None:
    logged.get("/nothing", status=404)
    (line,) = lines()
    assert (line["route"], line["status"], line["caller_id"]) == (None, 404, None)


def test_probes_are_not_logged(logged: Api, lines: Lines) -> None:
    logged.get("/health/live", status=200)
    logged.get("/health/ready", status=200)
    assert lines() == []


def test_the_cause_of_a_500_is_logged_under_the_id_that_its_caller_was_told(
    logged: Api, lines: Lines
) -> None:
    response = logged.get("odd/cause", status=500)
    failure, request = lines()
    assert failure["event"] == "unhandled_exception"
    assert "RuntimeError: cause" in failure["exception"]
    assert {failure["request_id"], request["request_id"]} == {response.json["request_id"]}


FORGED = '\n{"event": "forged"}\r\n\u2028\x1b[31m\x00"}'


def test_nothing_that_a_client_sends_breaks_a_line(logged: Api, lines: Lines) -> None:
    """Each line is parsed as JSON by `lines`; a forged one would be an event of its own."""
    names = ("X_REQUEST_ID", "USER_AGENT", "REFERER", "AUTHORIZATION", "ACCEPT", "TRACEPARENT",
             "X_FORWARDED_FOR", "IF_NONE_MATCH", "COOKIE", "CONTENT_TYPE", "ORIGIN")  # fmt: skip
    environ = {f"HTTP_{name}": FORGED for name in names}
    logged.get("products", environ_overrides=environ)
    logged.call("POST", "auth/login", data=FORGED, environ_overrides=environ)
    logged.call(FORGED.strip(), "products")
    for path in ("/", "/api/v1/odd/", "/api/v1/products/", "/problems/"):
        logged.get(path + "%0a%7b%22event%22%3a%22forged%22%7d%0d%0a%00%1b", status=None)
    events = [line["event"] for line in lines()]
    assert len(events) >= 7
    assert "forged" not in events


# --- secrets ---------------------------------------------------------------------------------


def test_secrets_are_not_logged(
    logged: Api,
    output: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(logged.app.extensions, "send_job", lambda job_id: None)  # mail to the log
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
def test_a_database_error_is_logged_without_the_values_of_its_statement(
    output: io.StringIO, lines: Lines, make_app: MakeApp, another_database_url: str
) -> None:
    with redirect_stdout(output):
        app = make_app(database_url=another_database_url)
    migrate_to_head(app)
    account = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    file = another_database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("DROP TABLE users")
        Api(app).post("users", account, status=503)
    (line,) = lines()
    assert "INSERT INTO users" in line["exception"]
    for value in ("ada@example.com", "argon2", PASSWORD):
        assert value not in line["exception"]

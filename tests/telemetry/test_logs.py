"""Request ids, and the log lines of requests."""

import io
import logging
import re
from contextlib import redirect_stdout
from typing import Any
from uuid import UUID

import pytest
import structlog

from tests.api import Api, Caller
from tests.conftest import Lines, MakeApp, statements


@pytest.mark.parametrize("offered", ["a1b2c3d4", "req_2024.01-01", "x" * 128])
def test_valid_request_id_is_kept(api: Api, offered: str) -> None:
    response = api.get("articles", headers={"X-Request-ID": offered}, status=200)
    assert response.headers["X-Request-ID"] == offered


@pytest.mark.parametrize(
    "offered",
    ["", "short", "x" * 129, "has spaces in it", 'quote"quote', "café-café", "a1b2c3d4\t",
     "{}[];,<>", "a1b2c3d4,b1b2c3d4", "%0a%0d%0a%0d"],
)  # fmt: skip
def test_invalid_request_id_is_replaced(api: Api, offered: str) -> None:
    response = api.get("articles", headers={"X-Request-ID": offered}, status=200)
    assert UUID(response.headers["X-Request-ID"]).version == 7


@pytest.mark.parametrize("offered", ["a1b2c3d4\n", "a1b2c3d4\r\nX-Evil: 1", "a1b2\0c3d4"])
def test_request_id_with_line_breaks_is_replaced(api: Api, offered: str) -> None:
    environ = {"HTTP_X_REQUEST_ID": offered}
    response = api.get("articles", environ_overrides=environ, status=200)
    assert UUID(response.headers["X-Request-ID"])


def test_request_without_id_gets_its_own(api: Api) -> None:
    assert len({api.get("articles").headers["X-Request-ID"] for _ in range(5)}) == 5


def test_request_id_is_in_header_problem_and_log(logged: Api, lines: Lines) -> None:
    response = logged.get("errands", headers={"X-Request-ID": "find-me-123"}, status=401)
    assert response.headers["X-Request-ID"] == "find-me-123"
    assert response.json["request_id"] == "find-me-123"
    assert {line["request_id"] for line in lines()} == {"find-me-123"}


def test_request_is_logged_as_one_line(logged: Api, lines: Lines, user: Caller) -> None:
    errand = "errands/00000000-0000-7000-8000-000000000000"
    logged.get(errand, by=user, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}, status=404)
    (line,) = lines()
    assert line.pop("duration_ms") >= line.pop("query_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("trace_id") == UUID(line.pop("request_id")).hex
    assert line == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/api/v1/errands/<uuid:errand_id>",
        "status": 404,
        "queries": 2,  # the errand, and, as there is none, the session
        "caller": f"user:{user.id}",
        "ip_address": "192.0.2.7",
    }


def test_log_names_the_api_key_of_the_caller(logged: Api, lines: Lines, user: Caller) -> None:
    new = {"name": "Nightly", "scopes": ["errands:own"]}
    key = logged.post("auth/api-keys", new, by=user, status=201).json
    lines()
    logged.get("errands", headers={"Authorization": f"Bearer {key['secret']}"}, status=200)
    callers = [line["caller"] for line in lines() if line["event"] == "request"]
    assert callers == [f"key:{key['id']}"]


def test_log_counts_the_statements_of_a_request(logged: Api, lines: Lines, editor: Caller) -> None:
    article = {"sku": "A", "name": "A", "category": "a", "price": "1", "currency": "EUR"}
    for method, body in (("GET", None), ("POST", article), ("OPTIONS", None)):
        with statements(logged.app) as sent:
            logged.call(method, "articles", json=body, by=editor)
        assert [line["queries"] for line in lines()] == [len(sent)]


def test_request_without_route_is_logged(logged: Api, lines: Lines) -> None:
    logged.get("/nothing", status=404)
    (line,) = lines()
    assert (line["route"], line["status"], line["caller"]) == (None, 404, None)


def test_probes_are_not_logged(logged: Api, lines: Lines) -> None:
    logged.get("/health/live", status=200)
    logged.get("/health/ready", status=200)
    assert lines() == []


def test_cause_of_a_500_is_logged_with_the_request_id_of_its_response(
    logged: Api, lines: Lines
) -> None:
    response = logged.get("odd/cause", status=500)
    failure, request = lines()
    assert failure["event"] == "unhandled_exception"
    assert "RuntimeError: cause" in failure["exception"]
    assert {failure["request_id"], request["request_id"]} == {response.json["request_id"]}


FORGED = '\n{"event": "forged"}\r\n\u2028\x1b[31m\x00"}'


def test_client_input_cannot_forge_log_lines(logged: Api, lines: Lines) -> None:
    """Each line is parsed as JSON by `lines`; a forged one would be an event of its own."""
    names = ("X_REQUEST_ID", "USER_AGENT", "REFERER", "AUTHORIZATION", "ACCEPT", "TRACEPARENT",
             "X_FORWARDED_FOR", "IF_NONE_MATCH", "COOKIE", "CONTENT_TYPE", "ORIGIN")  # fmt: skip
    environ = {f"HTTP_{name}": FORGED for name in names}
    logged.get("articles", environ_overrides=environ)
    logged.call("POST", "auth/login", data=FORGED, environ_overrides=environ)
    logged.call(FORGED.strip(), "articles")
    for path in ("/", "/api/v1/odd/", "/api/v1/articles/", "/problems/"):
        logged.get(path + "%0a%7b%22event%22%3a%22forged%22%7d%0d%0a%00%1b", status=None)
    events = [line["event"] for line in lines()]
    assert len(events) >= 7
    assert "forged" not in events


def test_warnings_of_libraries_are_logged_as_json(logged: Api, lines: Lines) -> None:
    logging.getLogger("some.library").warning("%s is\n{gone}", "Redis")
    logging.getLogger("some.library").info("too detailed")
    (line,) = lines()
    assert (line["event"], line["level"]) == ("Redis is\n{gone}", "warning")
    assert line["logger"] == "some.library"


@pytest.mark.parametrize("value", ["\ud800", 2**70, "\u2028\x9b31m", {1, 2}, object()])
def test_log_line_is_ascii(logged: Api, output: io.StringIO, lines: Lines, value: Any) -> None:
    structlog.get_logger().warning("odd", value=value)
    assert output.getvalue().isascii()
    assert [line["event"] for line in lines()] == ["odd"]


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_log_on_a_terminal_is_readable_text_without_control_characters(make_app: MakeApp) -> None:
    screen = Terminal()
    with redirect_stdout(screen):
        make_app(log_level="INFO")
    structlog.get_logger().info("mail", text="two\n\x1b[2Jlines")
    try:
        raise RuntimeError(FORGED)
    except RuntimeError:
        structlog.get_logger().exception("unhandled_exception")
    colours = re.compile(r"\x1b\[\d*(;\d+)*m")
    shown = colours.sub("", screen.getvalue().replace("\x1b[31m\x00", "forged colour"))
    assert not shown.startswith("{")
    assert r"text='two\n\x1b[2Jlines'" in shown
    assert "Traceback (most recent call last)" in shown
    assert "forged colour" not in shown
    assert all(character == "\n" or character.isprintable() for character in shown)

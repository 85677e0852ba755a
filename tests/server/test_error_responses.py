"""The error responses of app/server that no request from outside can provoke."""

import json
import socket
from email.parser import BytesHeaderParser

import pytest
from gunicorn.http import errors

from app.server.error_responses import (
    ERROR_RESPONSES,
    STATUS_BY_ERROR,
    status_of,
    write_problem_response,
)


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidResponseHeader("of the application"),
        errors.InvalidResponseHeaderName("of the application"),
        ZeroDivisionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_internal_gunicorn_error_is_500(error: Exception) -> None:
    assert status_of(error) == 500


def test_every_gunicorn_error_status_has_a_response() -> None:
    assert set(STATUS_BY_ERROR.values()) == set(ERROR_RESPONSES)


def test_response_of_an_internal_error_is_a_complete_problem() -> None:
    server, client = socket.socketpair()
    with server, client:
        write_problem_response(server, 500, "an-id")
        head, _, body = client.recv(65536).partition(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    headers = BytesHeaderParser().parsebytes(fields)
    assert status_line == b"HTTP/1.1 500 Internal Server Error"
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Content-Length"] == str(len(body))
    assert headers["X-Request-ID"] == "an-id"
    assert json.loads(body) == {
        "type": "/problems/internal-error",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The request could not be handled.",
        "instance": "urn:uuid:an-id",
        "request_id": "an-id",
    }

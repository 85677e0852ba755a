"""Runs the tests against a running stack: requests go to its nginx, rows into its database.

`tests/stack/run.sh` sets the variables. Without STACK_URL the application runs in this process.
"""

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from werkzeug.datastructures import EnvironHeaders, Headers

from tests import services

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

URL = os.environ.get("STACK_URL", "")
DATABASE_URL = os.environ.get("STACK_DATABASE_URL", "")
SECRET_KEY = os.environ.get("STACK_SECRET_KEY", "")
JWT_KEYS = os.environ.get("STACK_JWT_KEYS", "")  # a file

# A test with one of these fixtures needs the application in its own process, as does one with the
# marker `in_process`.
_IN_PROCESS = {"make_app", "monkeypatch", "queries", "capfd", "another_database_url"}


def runs_on_stack(item: pytest.Item) -> bool:
    """Whether a test needs only requests, responses and rows of the shipped features."""
    if "app" not in item.fixturenames or item.callspec.params["database_url"] != "stack":
        return False
    of_tests = any(
        path in item.name for path in ("/parcels", "/stamps", "/postmarks", "/parcel-labels")
    )
    # The stack is not below a prefix.
    of_tests = of_tests or item.path.name == "test_prefix.py"
    in_process = item.get_closest_marker("in_process") or _IN_PROCESS & set(item.fixturenames)
    return not in_process and not of_tests


def forward(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """A WSGI application that forwards a request to the stack and returns its response."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    uri = environ["RAW_URI"]
    if "?" not in uri:  # the test has passed the query apart from the path
        uri = f"{uri}?{environ['QUERY_STRING']}".removesuffix("?")
    target = quote(uri, safe="/?%:@!$&'()*+,;=[]")
    with closing(HTTPConnection(urlsplit(URL).netloc, timeout=services.SECONDS)) as connection:
        # True, True: without a Host and an Accept-Encoding of the library.
        connection.putrequest(environ["REQUEST_METHOD"], target, True, True)
        for name, value in EnvironHeaders(environ):
            connection.putheader(name, value)
        # Changes that a test makes in the database must be visible at once.
        connection.putheader("Cache-Control", "no-cache")
        # nginx may respond and close before the whole body is sent.
        with suppress(ConnectionError):
            connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
    headers = Headers(answer.getheaders())
    headers.remove("Transfer-Encoding")
    if "Vary" in headers:  # nginx and the service add a line each
        headers["Vary"] = ", ".join(headers.getlist("Vary"))
    start_response(f"{answer.status} {answer.reason}", headers.to_wsgi_list())
    return [content]

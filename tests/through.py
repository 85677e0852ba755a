"""The same tests through a stack that runs: requests go to its nginx, rows into its database.

`tests/stack/run.sh` says where it is. Without STACK_URL the application is called in this process.
"""

import os
from collections.abc import Iterable
from contextlib import closing, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from werkzeug.datastructures import EnvironHeaders, Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

URL = os.environ.get("STACK_URL", "")
DATABASE_URL = os.environ.get("STACK_DATABASE_URL", "")
SECRET_KEY = os.environ.get("STACK_SECRET_KEY", "")
JWT_KEYS = os.environ.get("STACK_JWT_KEYS", "")  # a file

# Through these a test looks into the process that serves it, or changes it.
_INSIDE = {"make_app", "monkeypatch", "queries", "capfd", "another_database_url"}


def goes(item: pytest.Item) -> bool:
    """Whether a test is about nothing but requests to what is shipped, their answers, and rows."""
    if "app" not in item.fixturenames or item.callspec.params["database_url"] != "stack":
        return False
    return not _INSIDE & set(item.fixturenames) and "/notes" not in item.name


def forward(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Answer a request as the stack does: a WSGI application in place of the service's own."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    target = quote(environ["RAW_URI"], safe="/?%:@!$&'()*+,;=[]")
    with closing(HTTPConnection(urlsplit(URL).netloc, timeout=30)) as connection:
        connection.putrequest(environ["REQUEST_METHOD"], target, True, True)  # no fields of its own
        for name, value in EnvironHeaders(environ):
            connection.putheader(name, value)
        # What a test has changed in the database by itself must show at once.
        connection.putheader("Cache-Control", "no-cache")
        # nginx may answer, and stop reading, before all is sent.
        with suppress(ConnectionError):
            connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
    headers = Headers(answer.getheaders())
    headers.remove("Transfer-Encoding")
    if "Vary" in headers:  # nginx and the service write a line each, which are one list
        headers["Vary"] = ", ".join(headers.getlist("Vary"))
    start_response(f"{answer.status} {answer.reason}", headers.to_wsgi_list())
    return [content]

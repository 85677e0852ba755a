"""Flask, and what it does on every request made to fit: header fields, OPTIONS, nothing in vain."""

from collections.abc import Callable, Iterable
from typing import Any

import flask
from flask import Flask, Request
from flask.sessions import SessionInterface
from werkzeug.datastructures import Headers
from werkzeug.routing import MapAdapter
from werkzeug.wsgi import get_host

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Response(flask.Response):
    """A response with the security headers, however it came about."""

    security = SECURITY_HEADERS  # a page has another policy

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """The fields; not a copy where Werkzeug would correct nothing in it."""
        return self.headers if self.status_code in (200, 201) else super().get_wsgi_headers(environ)

    def get_wsgi_response(self, environ: Any) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """What WSGI is given: body, status, fields."""
        body, status, fields = super().get_wsgi_response(environ)
        return body, status, [*fields, *self.security.items()]


class _NoSessionInterface(SessionInterface):
    """Flask's session is not used here; its cookie is neither looked for nor set."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Leave Flask with a session that refuses to be written."""


class FlaskApp(Flask):
    """A Flask application, which leaves out what only others need."""

    response_class = Response
    session_interface = _NoSessionInterface()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function; nothing here is a coroutine, and it is asked of everything called."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """The routes as they are for a request; its host, checked here, leads to none of its own.

        Raises:
            SecurityError: 400, the host is not trusted.
        """
        if request is None:
            return super().create_url_adapter(None)
        request.trusted_hosts = self.config["TRUSTED_HOSTS"]
        request.host = host = get_host(request.environ, request.trusted_hosts)
        query = request.query_string.decode("latin1")
        where = (request.root_path, "", request.scheme, request.path, request.method, query)
        return MapAdapter(self.url_map, host, *where)

    def make_default_options_response(self) -> flask.Response:
        """What works here (RFC 9110 section 9.3.7) and, with PATCH, its formats (RFC 5789)."""
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        if "PATCH" in response.allow:
            response.headers["Accept-Patch"] = "application/merge-patch+json, application/json"
        return response

"""The Flask application class: security headers on every response, no cookie of Flask's session."""

import re
from collections.abc import Callable, Iterable
from inspect import CO_COROUTINE
from typing import Any

import flask
from flask import Flask, Request
from flask.sessions import SessionInterface
from werkzeug.datastructures import Headers

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_URI = re.compile(r"[!-~]*")  # others have characters beyond ASCII, or spaces


class Response(flask.Response):
    """A response with the security headers, also where an extension created it."""

    security = SECURITY_HEADERS  # HTML pages override it

    def get_wsgi_headers(self, environ: Any) -> Headers:
        """Return the header fields, as they are in a 200 or 201 that has a length and URIs."""
        # Werkzeug completes a copy of them, which costs 4 % of a read or create.
        status, headers = self.status_code, self.headers
        is_complete = status in (200, 201) and "Content-Length" in headers
        if is_complete and (status == 200 or _URI.fullmatch(headers.get("Location", ""))):
            return headers
        return super().get_wsgi_headers(environ)

    def get_wsgi_response(self, environ: Any) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """Return body, status and header fields as WSGI takes them."""
        # Not added by `after_request`: Flask skips the rest of its functions when one fails.
        body, status, fields = super().get_wsgi_response(environ)
        return body, status, [*fields, *self.security.items()]


class NoSessionInterface(SessionInterface):
    """Disables Flask's session, so that its cookie is neither read nor set."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Return None, for which Flask provides a session that cannot be written."""


class FlaskApp(Flask):
    """The application of this service."""

    response_class = Response
    session_interface = NoSessionInterface()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is no coroutine; Flask calls it so for each hook and view."""
        # For a plain function, Flask's own check takes 3 % of a read to say the same.
        code = getattr(getattr(func, "func", func), "__code__", None)  # also of a partial
        is_plain = code is not None and not code.co_flags & CO_COROUTINE
        return func if is_plain else super().ensure_sync(func)

    def make_default_options_response(self) -> flask.Response:
        """Return 204 with `Allow` (RFC 9110 section 9.3.7) and `Accept-Patch` (RFC 5789)."""
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        if "PATCH" in response.allow:
            response.headers["Accept-Patch"] = "application/merge-patch+json, application/json"
        return response

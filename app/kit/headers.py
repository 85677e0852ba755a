"""Header fields that every response carries, and the answer to OPTIONS."""

from functools import partial

from flask import Flask, Request, Response
from flask.sessions import SessionInterface

from app.extensions import cors

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_BESIDE_A_POLICY = {k: v for k, v in SECURITY.items() if k != "Content-Security-Policy"}
EXPOSED = [
    "Content-Disposition", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy",
    "Retry-After", "X-Request-ID",
]  # fmt: skip


def init_app(app: Flask, origins: tuple[str, ...]) -> None:
    """Set security headers on everything, CORS for the origins allowed (none by default)."""
    app.make_default_options_response = partial(_options, app)  # type: ignore[method-assign]
    app.session_interface = _NoSession()
    app.after_request(_secure)
    if origins:
        app.after_request(_vary_by_origin)
        cors.init_app(
            app, origins=list(origins), expose_headers=EXPOSED, always_send=False, vary_header=False
        )


class _NoSession(SessionInterface):
    """Flask's session is not used here; its cookie is neither looked for nor set."""

    def open_session(self, app: Flask, request: Request) -> None:
        """Leave Flask with a session that refuses to be written."""


def _secure(response: Response) -> Response:
    own_policy = "Content-Security-Policy" in response.headers  # the documentation has one
    response.headers.extend(_BESIDE_A_POLICY if own_policy else SECURITY)
    return response


def _vary_by_origin(response: Response) -> Response:
    """Also where no origin was named: a cache must not give that answer to a page of one."""
    response.vary.add("Origin")
    return response


def _options(app: Flask) -> Response:
    """What works here (RFC 9110 section 9.3.7) and, with PATCH, its formats (RFC 5789)."""
    response: Response = Flask.make_default_options_response(app)
    response.status_code = 204
    del response.headers["Content-Type"]
    if "PATCH" in response.allow:
        response.headers["Accept-Patch"] = "application/merge-patch+json, application/json"
    return response

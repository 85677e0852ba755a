"""Cross-origin resource sharing (CORS) by Flask-CORS, for an allow-list of origins."""

import flask
from flask import Flask

from app.extensions import cors

CORS_EXPOSE_HEADERS = [
    "Content-Disposition", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy",
    "Retry-After", "X-Request-ID",
]  # fmt: skip


def init_cors(app: Flask, origins: tuple[str, ...]) -> None:
    """Allow pages of these origins to call the service; no CORS headers without origins."""
    if origins:
        app.after_request(_vary_by_origin)
        cors.init_app(
            app,
            origins=list(origins),
            expose_headers=CORS_EXPOSE_HEADERS,
            always_send=False,
            vary_header=False,
        )


def _vary_by_origin(response: flask.Response) -> flask.Response:
    """Add `Vary: Origin`, also for requests without an origin."""
    # Flask-CORS adds it only to responses with CORS headers, so a shared cache could serve a
    # response without them to a page of an allowed origin.
    response.vary.add("Origin")
    return response

"""Cross-origin resource sharing (CORS): an allow-list of origins."""

import flask
from flask import Flask

from app.extensions import cors

CORS_EXPOSE_HEADERS = [
    "Content-Disposition", "ETag", "Link", "Location", "RateLimit", "RateLimit-Policy",
    "Retry-After", "X-Request-ID",
]  # fmt: skip


def init_cors(app: Flask, origins: tuple[str, ...]) -> None:
    """Let pages of these origins call the service (CORS); none by default."""
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
    """Also where no origin was named: a cache must not give that answer to a page of one."""
    response.vary.add("Origin")
    return response

"""Cross-origin resource sharing (CORS) by Flask-CORS, for an allow-list of origins."""

import re

import flask
from flask import Flask, Request

from app.extensions import cors

# All header fields of responses but those that every page may read: the Fetch standard calls them
# CORS-safelisted. nginx exposes those of its own errors: deploy/nginx/templates.
EXPOSED_HEADERS = [
    "Accept", "Accept-Encoding", "Accept-Patch", "Accept-Ranges", "Allow", "Cache-Status",
    "Content-Disposition", "Content-Range", "Content-Security-Policy", "Date", "ETag",
    "Idempotent-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Referrer-Policy",
    "Retry-After", "Strict-Transport-Security", "Vary", "WWW-Authenticate",
    "X-Content-Type-Options", "X-Request-ID",
]  # fmt: skip
PREFLIGHT_SECONDS = 7200  # for which a browser may keep an answer; Chromium keeps none longer


def init_cors(app: Flask, origins: tuple[str, ...]) -> None:
    """Allow pages of these origins to call the service; no CORS headers without origins."""
    if origins:
        app.after_request(_vary_by_origin)
        cors.init_app(
            app,
            # Flask-CORS takes text with a bracket, as of an IPv6 address, for a regular expression.
            origins=[o if o == "*" else re.compile(rf"{re.escape(o)}\Z") for o in origins],
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_SECONDS,
            always_send=False,
            vary_header=False,
        )


def is_preflight(request: Request) -> bool:
    """Whether a browser asks if it may send another request."""
    # A page can neither prevent nor read it, so it does not count against the rate limit.
    if request.method != "OPTIONS":
        return False
    return "Origin" in request.headers and "Access-Control-Request-Method" in request.headers


def _vary_by_origin(response: flask.Response) -> flask.Response:
    """Add `Vary: Origin`, also for requests without an origin."""
    # Flask-CORS adds it only to responses with CORS headers, so a shared cache could serve a
    # response without them to a page of an allowed origin.
    response.vary.add("Origin")
    return response

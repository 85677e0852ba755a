"""What Flask's proxies stand for, at a tenth of what each look through one of them takes."""

from typing import Any

from flask import Flask, Request
from flask.globals import _cv_app, _cv_request


def app() -> Flask:
    """The application; `flask.current_app`."""
    return _cv_app.get().app


def request() -> Request:
    """The request that is answered; `flask.request`."""
    return _cv_request.get().request


def known() -> dict[str, Any]:
    """What is kept for as long as the request lasts; `flask.g`."""
    return vars(_cv_app.get().g)

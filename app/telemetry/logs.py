"""Logs: one JSON line an event on standard output, tied together by the request id."""

import logging
import re
import sys
import time

import structlog
from flask import Flask, Response, g, request

from app.kit.access import Caller
from app.kit.model import uuid7

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,128}")

log = structlog.get_logger()


def init_app(app: Flask, level: str) -> None:
    """Give every request an id, and log each in one line when it is answered."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> None:
    offered = request.headers.get("X-Request-ID", "")
    g.request_id = offered if _WELL_FORMED.fullmatch(offered) else str(uuid7())
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _finish(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    who = g.get("caller", Caller())
    if not (request.endpoint or "").startswith("health."):
        log.info(
            "request",
            method=request.method,
            route=request.url_rule.rule if request.url_rule else None,
            status=response.status_code,
            milliseconds=round((time.perf_counter() - g.began) * 1000, 2),
            caller_id=who.id and str(who.id),
            address=request.remote_addr,
        )
    return response

"""One log line and the metrics of each request, and the id that connects them."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import structlog
from flask import Flask

from app.core.database.ids import uuid7
from app.core.database.listeners import on_statement
from app.core.security.authorization import ANONYMOUS
from app.core.web.client_address import client_address
from app.core.web.flask_app import Response
from app.core.web.request_state import current_request, request_state
from app.telemetry import metrics, tracing

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


@dataclass(slots=True)
class RequestStats:
    """Start and database queries of a request; times in seconds of `perf_counter`."""

    start: float
    queries: int = 0
    query_start: float = 0.0
    query_time: float = 0.0


# Not in `flask.g`: the events of the engine also occur in jobs and commands, without a request.
_request_stats: ContextVar[RequestStats | None] = ContextVar("request_stats", default=None)


def init_app(app: Flask, *, timed: bool) -> None:
    """Log and count every request; with `timed`, responses have a `Server-Timing` field."""
    app.before_request(_begin)
    # `bind` resolves structlog's configuration, which would cost half as much as each line.
    app.after_request(partial(_finish, structlog.get_logger().bind()))
    if timed:
        app.after_request(_set_server_timing)


def _begin() -> None:
    stats = RequestStats(perf_counter())
    _request_stats.set(stats)
    environ = current_request().environ
    new_id = uuid7()
    sent_id = environ.get("HTTP_X_REQUEST_ID")
    request_id = sent_id if sent_id and _REQUEST_ID.fullmatch(sent_id) else str(new_id)
    state = request_state()
    state.request_id, state.stats = request_id, stats
    trace = tracing.begin(environ.get("HTTP_TRACEPARENT", ""), new_id)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=trace.id)


def _finish(log: Any, response: Response) -> Response:
    state = request_state()
    stats: RequestStats = state.stats
    response.headers["X-Request-ID"] = state.request_id
    seconds = perf_counter() - stats.start
    http = current_request()
    method, route = http.method, http.url_rule.rule if http.url_rule else None
    metrics.count_request(method, route, response.status_code, seconds)
    if not (http.endpoint or "").startswith("health."):
        # The URL rule, not the path, which may hold data of the client:
        # docs/decisions.md#57-logs-without-client-data
        log.info(
            "request",
            method=method,
            route=route,
            status=response.status_code,
            duration_ms=round(seconds * 1000, 2),
            queries=stats.queries,
            query_ms=round(stats.query_time * 1000, 2),
            caller=(state.caller or ANONYMOUS).label,
            ip_address=client_address(http),
        )
    return response


def _set_server_timing(response: Response) -> Response:
    """Set `Server-Timing` in milliseconds (W3C Server Timing), in development only."""
    stats: RequestStats = request_state().stats
    total, queries = (perf_counter() - stats.start) * 1000, stats.query_time * 1000
    response.headers["Server-Timing"] = (
        f'total;dur={total:.2f}, db;dur={queries:.2f};desc="{stats.queries} queries"'
    )
    return response


def _begin_query(*_: Any) -> None:
    if stats := _request_stats.get():
        stats.queries += 1
        stats.query_start = perf_counter()


def _finish_query(*_: Any) -> None:
    if stats := _request_stats.get():
        stats.query_time += perf_counter() - stats.query_start


# For all engines, so that several applications in a process register the events once.
on_statement(_begin_query, _finish_query)

"""What is known of a request while it runs, and told when it is answered: log line and metrics."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import structlog
from flask import Flask, request
from sqlalchemy import Engine, event

from app.core.database.ids import uuid7
from app.core.security.authorization import ANONYMOUS, Caller
from app.core.web.client_address import client_address
from app.core.web.flask_app import Response
from app.core.web.request_state import request_state
from app.telemetry import metrics, tracing

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,128}")


@dataclass(slots=True)
class RequestStats:
    """Since when a request runs, and what it has asked of the database; times in seconds."""

    began: float
    queries: int = 0
    query_began: float = 0.0
    query_time: float = 0.0


_request_stats: ContextVar[RequestStats | None] = ContextVar(
    "observed", default=None
)  # for the engine


def init_app(app: Flask, *, timed: bool) -> None:
    """Observe every request; where it is `timed`, the answer says what took how long."""
    app.before_request(_begin)
    # Bound here, once: to find out how lines are written costs half as much as writing one.
    app.after_request(partial(_finish, structlog.get_logger().bind()))
    if timed:
        app.after_request(_set_server_timing)


def _begin() -> None:
    observed = RequestStats(perf_counter())
    _request_stats.set(observed)
    environ = request.environ
    made = uuid7()
    offered = environ.get("HTTP_X_REQUEST_ID")
    request_id = offered if offered and _WELL_FORMED.fullmatch(offered) else str(made)
    state = request_state()
    state.request_id, state.stats = request_id, observed
    trace = tracing.begin(environ.get("HTTP_TRACEPARENT", ""), made)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=trace.id)


def _finish(log: Any, response: Response) -> Response:
    state, now = request_state(), request
    observed: RequestStats = state.stats
    response.headers["X-Request-ID"] = state.request_id
    seconds = perf_counter() - observed.began
    method, route = now.method, now.url_rule.rule if now.url_rule else None
    metrics.count_request(method, route, response.status_code, seconds)
    if not (now.endpoint or "").startswith("health."):
        log.info(
            "request",
            method=method,
            route=route,
            status=response.status_code,
            duration_ms=round(seconds * 1000, 2),
            queries=observed.queries,
            query_ms=round(observed.query_time * 1000, 2),
            caller=_name(state.caller or ANONYMOUS),
            address=client_address(request),
        )
    return response


def _set_server_timing(response: Response) -> Response:
    """Say in Server-Timing what took how long, in milliseconds; in development alone."""
    observed: RequestStats = request_state().stats
    total, queries = (perf_counter() - observed.began) * 1000, observed.query_time * 1000
    response.headers["Server-Timing"] = (
        f'total;dur={total:.2f}, db;dur={queries:.2f};desc="{observed.queries} queries"'
    )
    return response


def _name(caller: Caller) -> str | None:
    if caller.api_key_id:
        return f"key:{caller.api_key_id}"
    return f"user:{caller.id}" if caller.id else None


def _begin_query(*_: Any) -> None:
    if observed := _request_stats.get():
        observed.queries += 1
        observed.query_began = perf_counter()


def _finish_query(*_: Any) -> None:
    if observed := _request_stats.get():
        observed.query_time += perf_counter() - observed.query_began


# Of all engines, so that it makes no difference how often an application is made.
event.listen(Engine, "before_cursor_execute", _begin_query)
event.listen(Engine, "after_cursor_execute", _finish_query)

"""Metrics for Prometheus, on the listener of METRICS_BIND only.

Labels have few values: a route is its URL rule, never a path. With gunicorn each worker writes to
its own file, and the worker that is scraped adds them up. docs/decisions.md#56-metrics-listener
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import structlog
from flask import Flask
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import Pool

from app.core.web import rate_limit

log = structlog.get_logger()

if "METRICS_SLOT" in os.environ:
    # A worker continues the file of one that has exited: there are few files, and no count is lost.
    # prometheus/client_python#509 describes this way; see tools/public_interfaces.py.
    slot = os.environ["METRICS_SLOT"]
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]

REQUESTS = Counter("http_requests", "Requests with a response.", ["method", "route", "status"])
DURATION = Histogram(
    "http_request_duration_seconds",
    "Time from the request to its response.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
CONNECTIONS = Gauge(
    "database_connections_in_use", "Connections in use.", multiprocess_mode="livesum"
)
CONNECTIONS_LIMIT = Gauge(
    "database_connections_limit", "Size of the connection pools.", multiprocess_mode="livesum"
)
RATE_LIMIT_EXCEEDED = Counter("rate_limit_exceeded", "Requests over a rate limit.", ["limit"])
RATE_LIMIT_FALLBACK_ACTIVE = Gauge(
    "rate_limit_fallback_active",
    "Workers that count rate limits in memory, because Redis is unreachable.",
    multiprocess_mode="livesum",
)
LOGINS = Counter("logins", "Attempts to log in.", ["result"])
# Created at the start with the value 0, so that Prometheus sees the first failure as an increase.
for _result in ("succeeded", "failed", "throttled", "interrupted"):
    LOGINS.labels(_result)

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def init_app(app: Flask, settings: Any) -> None:
    """Serve `/metrics` on the listener of METRICS_BIND, and nothing else there."""
    CONNECTIONS_LIMIT.set(settings.pool_size)
    if settings.metrics_bind:
        port = int(settings.metrics_bind.rpartition(":")[2])
        app.wsgi_app = _route_by_port(app, port, app.wsgi_app)  # type: ignore[method-assign]


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count a request that has a response; `route` is None if no URL rule matched."""
    requests, duration = _labelled(
        method if method in _METHODS else "other", route or "none", status
    )
    requests.inc()
    duration.observe(seconds)
    if status == 429:
        for limit in rate_limit.current_limits():
            if limit.exceeded:
                RATE_LIMIT_EXCEEDED.labels(limit.name).inc()
    _set_fallback_gauge()


@cache
def _labelled(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, status), DURATION.labels(method, route)


_fallback_was_active = False


def _set_fallback_gauge() -> None:
    """Set the gauge when it changes: in multiprocess mode each `set` writes to a file."""
    global _fallback_was_active
    if (active := rate_limit.is_fallback_active()) != _fallback_was_active:
        _fallback_was_active = active
        RATE_LIMIT_FALLBACK_ACTIVE.set(active)


# --- gauges that are read at each scrape ------------------------------------------------------

ReadGauge = Callable[[], Mapping[str, float]]
_scrape_time_gauges: dict[str, tuple[str, str, ReadGauge]] = {}


def scrape_time_gauge(name: str, description: str, label: str, read: ReadGauge) -> None:
    """Register a gauge that is read at each scrape, with one series per value of the label.

    It is for values from the database, such as jobs by state. `read` is called in an application
    context; while the database is unavailable the gauge is absent.
    """
    _scrape_time_gauges[name] = description, label, read


class _ScrapeTimeCollector(Collector):
    def __init__(self, app: Flask) -> None:
        self.app = app

    def collect(self) -> Iterator[Metric]:
        for name, (description, label, read) in _scrape_time_gauges.items():
            family = GaugeMetricFamily(name, description, labels=[label])
            try:
                with self.app.app_context():
                    for value, number in read().items():
                        family.add_metric([value], number)
            except SQLAlchemyError as error:
                log.warning("scrape_gauge_failed", metric=name, error=type(error).__name__)
                continue
            yield family


def _registry(app: Flask) -> CollectorRegistry:
    """Return the registry for one scrape."""
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    registry.register(_ScrapeTimeCollector(app))
    return registry


Wsgi = Callable[..., Iterable[bytes]]


def _route_by_port(app: Flask, port: int, service: Wsgi) -> Wsgi:
    """Return a WSGI application that serves `/metrics` on this port and the service on all others.

    The port is that of the connection. gunicorn derives SERVER_PORT from the Host header where it
    listens on a Unix socket.
    """

    def route(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        wire = environ.get("gunicorn.socket")
        address = wire.getsockname() if wire else None
        if not isinstance(address, tuple) or address[1] != port:
            return service(environ, start_response)
        if environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"Only /metrics is available on this port.\n"]
        scrape: Wsgi = make_wsgi_app(_registry(app))
        return scrape(environ, start_response)

    return route


# --- the pool of database connections ---------------------------------------------------------


def _on_checkout(*_: Any) -> None:
    CONNECTIONS.inc()


def _on_checkin(*_: Any) -> None:
    CONNECTIONS.dec()


event.listen(Pool, "checkout", _on_checkout)
event.listen(Pool, "checkin", _on_checkin)
event.listen(Pool, "detach", _on_checkin)

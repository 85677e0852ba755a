"""Metrics: what is counted, and the listener that serves them."""

import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.extensions import db
from app.jobs.runner import create_job
from app.telemetry import metrics
from app.telemetry.metrics import scrape_time_gauge
from tests import services
from tests.api import PASSWORD, Api
from tests.conftest import MakeApp, own_server
from tests.live import serve, wait_until

ITEM = "articles/00000000-0000-7000-8000-000000000000"


def value(name: str, **labels: str) -> float:
    """The current value of a series of this process."""
    return REGISTRY.get_sample_value(name, labels) or 0


def series(port: int) -> dict[tuple[str, ...], float]:
    """The values of /metrics on this port, by name and labels."""
    connection = HTTPConnection("127.0.0.1", port, timeout=services.SECONDS)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    assert response.status == 200, body
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


class Growth:
    """The growth of series since this object was created."""

    def __init__(self, name: str, *series: dict[str, str]) -> None:
        self.name, self.series = name, series
        self.before = [value(name, **labels) for labels in series]

    def read(self) -> list[float]:
        after = [value(self.name, **labels) for labels in self.series]
        return [new - old for new, old in zip(after, self.before, strict=True)]


def test_requests_are_counted_by_route_template(api: Api) -> None:
    template = {"method": "GET", "route": "/api/v1/articles/<uuid:article_id>"}
    nowhere = {"method": "GET", "route": "none", "status": "404"}
    odd = {"method": "other", "route": "none", "status": "405"}
    requests = Growth("http_requests_total", {**template, "status": "404"}, nowhere, odd)
    durations = Growth("http_request_duration_seconds_count", template)
    for number in range(3):
        api.get(ITEM[:-1] + str(number), status=404)
    api.get("/nothing/1", status=404)
    api.get("/nothing/2", status=404)
    api.call("BREW", "articles", status=405)
    assert requests.read() == [3, 2, 1]
    assert durations.read() == [3]


def test_logins_are_counted_by_result(api: Api, frozen_throttle_clock: None) -> None:
    results = [{"result": result} for result in ("succeeded", "failed", "throttled")]
    logins = Growth("logins_total", *results)
    account = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    api.post("users", account, status=201)
    right = {"email": account["email"], "password": PASSWORD}
    api.post("auth/login", right, status=200)
    for status in [401] * 10 + [429] * 2:
        api.post("auth/login", right | {"password": "x" * 20}, status=status)
    assert logins.read() == [1, 10, 2]


def test_rate_limit_refusals_are_counted_by_limit(make_app: MakeApp) -> None:
    limited = Api(make_app(rate_limit="2 per hour", login_rate_limit="1 per hour"))
    refusals = Growth("rate_limit_exceeded_total", {"limit": "default"}, {"limit": "log_in"})
    for _ in range(2):
        limited.post("auth/login", {})
    limited.get("articles", status=429)
    assert refusals.read() == [1, 1]


def test_gauge_shows_the_rate_limit_fallback_while_redis_is_unreachable(make_app: MakeApp) -> None:
    port = services.free_port()
    with own_server("redis", port) as url:
        limited = Api(make_app(redis_url=url))
        limited.get("articles", status=200)
        assert value("rate_limit_fallback_active") == 0
    limited.get("articles", status=200)
    assert value("rate_limit_fallback_active") == 1
    with own_server("redis", port):
        wait_until(lambda: limited.get("articles") and value("rate_limit_fallback_active") == 0)


def test_gauge_counts_connections_in_use(app: Flask, api: Api) -> None:
    before = value("database_connections_in_use")
    with app.app_context(), db.engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert value("database_connections_in_use") == before + 1
    api.get("articles", status=200)
    with app.app_context(), db.engine.connect() as connection:
        connection.detach()
    assert value("database_connections_in_use") == before
    assert value("database_connections_limit") > 0


class MetricsApi(Api):
    """An application whose requests arrive on its listener for metrics."""

    def __init__(self, make_app: MakeApp, listener: socket.socket) -> None:
        self.environ = {"gunicorn.socket": listener}
        super().__init__(make_app(metrics_bind=f"127.0.0.1:{listener.getsockname()[1]}"))

    def call(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().call(*args, environ_overrides=self.environ, **kwargs)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def scraped(
    make_app: MakeApp, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> MetricsApi:
    """An application with a listener for metrics."""
    monkeypatch.setattr(metrics, "_scrape_time_gauges", {})
    return MetricsApi(make_app, listener)


def scrape(api: MetricsApi) -> str:
    return api.get("/metrics", status=200).text


# begin jobs
def test_scrape_counts_jobs_by_state(make_app: MakeApp, listener: socket.socket) -> None:
    scraped = MetricsApi(make_app, listener)
    for state in ("queued", "running", "succeeded", "failed"):
        assert f'jobs{{state="{state}"}} 0.0' in scrape(scraped)
    with scraped.app.app_context():
        db.session.add(create_job("mail", {}))
        db.session.commit()
    assert 'jobs{state="queued"} 1.0' in scrape(scraped)


# end jobs
def test_scrape_omits_a_gauge_that_cannot_be_read(scraped: MetricsApi) -> None:
    def fail() -> dict[str, float]:
        db.session.execute(text("SELECT count(*) FROM nothing"))
        return {}

    scrape_time_gauge("jobs", "Jobs by state.", "state", fail)
    scrape_time_gauge("mails", "Mails by state.", "state", lambda: {"sent": 1})
    shown = scrape(scraped)
    assert "jobs{" not in shown
    assert 'mails{state="sent"} 1.0' in shown
    assert "http_requests_total" in shown


def test_metrics_listener_serves_nothing_else(scraped: MetricsApi) -> None:
    for path in ("/", "/health/live", "/api/v1/articles", "/metrics/", "//metrics"):
        scraped.get(path, status=404)
    scraped.post("/metrics", status=405)


@pytest.mark.parametrize("proxies", [0, 1])
def test_metrics_are_404_on_other_listeners(make_app: MakeApp, proxies: int) -> None:
    app = Api(make_app(metrics_bind="127.0.0.1:9464", trusted_proxies=proxies))
    forged = {"X-Forwarded-Host": "127.0.0.1:9464", "X-Forwarded-Port": "9464"}
    for headers in ({}, {"Host": "127.0.0.1:9464"}, forged):
        # As gunicorn sets it on a Unix socket, from the Host header.
        environ = {"SERVER_PORT": "9464"}
        response = app.get("/metrics", headers=headers, environ_overrides=environ, status=404)
        assert response.json["type"] == "/problems/not-found"


@pytest.mark.slow
@pytest.mark.parametrize("host", ["api.example.com:9464", "127.0.0.1:9464", "[::1]:9464"])
def test_metrics_are_404_on_a_unix_socket_whatever_the_host_is(tmp_path: Path, host: str) -> None:
    port, path = services.free_port(), str(tmp_path / "socket")
    settings = {"BIND": f"unix:{path}", "METRICS_BIND": f"127.0.0.1:{port}"}
    database = f"sqlite:///{tmp_path}/live.db"
    with serve(database, CACHE_DIR=str(tmp_path), WEB_CONCURRENCY="1", **settings):
        with socket.socket(socket.AF_UNIX) as wire:
            wire.connect(path)
            sent = f"GET /metrics HTTP/1.1\r\nHost: {host.replace('9464', str(port))}\r\n\r\n"
            wire.sendall(sent.encode())
            response = HTTPResponse(wire)
            response.begin()
            assert (response.status, response.headers["Content-Type"]) == (
                404,
                "application/problem+json",
            )
        assert series(port)


def test_server_timing_header_is_sent_in_development_only(make_app: MakeApp) -> None:
    timed = Api(make_app(app_env="development")).get("articles", status=200)
    timing = timed.headers["Server-Timing"]
    found = re.fullmatch(r'total;dur=([\d.]+), db;dur=([\d.]+);desc="1 queries"', timing)
    assert found
    assert float(found[1]) >= float(found[2]) > 0
    assert "Server-Timing" not in Api(make_app()).get("articles", status=200).headers

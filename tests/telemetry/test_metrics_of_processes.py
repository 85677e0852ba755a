"""Metrics of running services: dashboards, all workers, nginx."""

import json
import os
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import services
from tests.conftest import MakeApp
from tests.live import Live, serve, wait_until
from tests.nginx import in_front_of
from tests.telemetry.test_metrics import ITEM, MetricsApi, scrape, series
from tests.telemetry.test_metrics import listener as listener


def test_dashboard_and_alerts_use_existing_metrics(
    make_app: MakeApp, listener: socket.socket
) -> None:
    scraped = MetricsApi(make_app, listener)
    existing = {family.name for family in text_string_to_metric_families(scrape(scraped))}
    shipped = Path(__file__).parents[2] / "deploy" / "observability"
    dashboard = json.loads((shipped / "grafana/dashboards/service.json").read_text())
    queries = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    queries.append((shipped / "prometheus/alerts.yml").read_text())
    name = r"\b(jobs|(?:http|database|rate|logins)_\w+)[{[) ]"
    names = set(re.findall(name, re.sub("#.*|summary: .*", "", " ".join(queries))))
    assert len(names) > 6
    assert {re.sub("_(total|bucket)$", "", name) for name in names} <= existing


COUNTED = "http_requests_total", "/api/v1/articles/<uuid:article_id>", "404", "GET"


@pytest.mark.slow
def test_counters_are_exact_across_workers_reloads_and_crashes(tmp_path: Path) -> None:
    port, sent = services.free_port(), 0
    settings = {
        "METRICS_BIND": f"127.0.0.1:{port}",
        "CACHE_DIR": str(tmp_path),
        "RATE_LIMIT": "100000 per minute",
        # Each worker also restarts after 60 requests.
        "GUNICORN_CMD_ARGS": "--max-requests 60 --max-requests-jitter 0",
    }
    folder = Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp")
    with serve(f"sqlite:///{tmp_path}/live.db", **settings) as live:

        def load(requests: int) -> None:
            nonlocal sent
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: live.call("GET", ITEM).status, range(requests)))
            assert set(answers) == {404}
            sent += requests

        load(150)
        assert series(port)[COUNTED] == sent
        old = set(live.workers())
        live.process.send_signal(signal.SIGHUP)
        load(50)
        wait_until(lambda: len(live.workers()) == 2 and not old & set(live.workers()))
        load(20)
        assert series(port)[COUNTED] == sent
        victim = live.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(live.workers()) == 2 and victim not in live.workers())
        load(20)
        assert series(port)[COUNTED] == sent
        # The maintenance thread of a new worker uses a connection for a moment.
        wait_until(lambda: series(port)["database_connections_in_use",] == 0)
        (shared,) = (f for f in folder.glob("workers-*") if belongs_to(f, live))
        # Two workers, and two more during a reload.
        assert len(list(shared.glob("counter_*.db"))) <= 4
    assert not shared.exists()


def belongs_to(folder: Path, live: Live) -> bool:
    """Whether a worker of this service has a file of the folder open."""
    maps = Path(f"/proc/{live.workers()[0]}/maps").read_text()
    return str(folder) in maps


@pytest.mark.slow
def test_nginx_does_not_serve_metrics(tmp_path: Path) -> None:
    port = services.free_port()
    settings = {"METRICS_BIND": f"127.0.0.1:{port}", "CACHE_DIR": str(tmp_path)}
    with serve(f"sqlite:///{tmp_path}/live.db", **settings) as live:
        assert series(port)["database_connections_limit",] > 0
        with in_front_of(live, tmp_path) as nginx:
            for path in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/x/../metrics"):
                connection = HTTPConnection("127.0.0.1", nginx.port, timeout=services.SECONDS)
                connection.request("GET", path, headers={"Host": f"127.0.0.1:{port}"})
                response = connection.getresponse()
                assert response.status == 404, path
                assert response.headers["Content-Type"] == "application/problem+json"
                response.read()
                connection.close()

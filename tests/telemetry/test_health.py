"""Health: the liveness probe checks the process, the readiness probe what it needs."""

from pathlib import Path

import pytest
from flask import Flask

from tests.api import Api
from tests.conftest import Counter, MakeApp, on_postgresql
from tests.services import free_port


@pytest.fixture
def without_database(make_app: MakeApp, database_url: str) -> Api:
    """An application that cannot reach its database."""
    unreachable = "sqlite:////nonexistent/folder/test.db"
    if database_url.startswith("postgresql"):
        unreachable = f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere"
    return Api(make_app(database_url=unreachable, connect_timeout=1))


def test_liveness_executes_no_statement(api: Api, queries: Counter) -> None:
    with queries() as sent:
        response = api.get("/health/live", status=200)
    assert sent == []
    assert response.json == {"status": "ok"}


def test_readiness_executes_one_statement(api: Api, queries: Counter) -> None:
    with queries() as sent:
        response = api.get("/health/ready", status=200)
    assert len(sent) == 1
    assert response.json == {"status": "ok"}


def test_service_without_database_is_live_and_not_ready(without_database: Api) -> None:
    without_database.get("/health/live", status=200)
    response = without_database.get("/health/ready", status=503)
    assert response.json["type"] == "/problems/service-unavailable"
    assert int(response.headers["Retry-After"]) > 0


@on_postgresql
def test_service_with_unmigrated_database_is_not_ready(
    make_app: MakeApp, another_database_url: str
) -> None:
    Api(make_app(database_url=another_database_url)).get("/health/ready", status=503)


def test_draining_service_is_live_and_not_ready(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draining = tmp_path / "draining"
    monkeypatch.setenv("DRAINING_FILE", str(draining))
    api.get("/health/ready", status=200)
    draining.touch()
    response = api.get("/health/ready", status=503)
    assert response.json["detail"] == "The service is shutting down."
    assert int(response.headers["Retry-After"]) > 0
    api.get("/health/live", status=200)
    api.get("articles", status=200)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_probe_response_is_not_cached(api: Api, path: str) -> None:
    assert api.get(path, status=200).headers["Cache-Control"] == "no-store"
    api.call("HEAD", path, status=200)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_probe_is_outside_the_api_prefix(app: Flask, api: Api, path: str) -> None:
    assert app.url_map.bind("").match(path)
    api.get(f"/api/v1{path}", status=404)

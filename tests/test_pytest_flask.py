"""The fixtures of pytest-flask work as documented, and requests are isolated."""

from http.client import HTTPConnection
from typing import Any

import pytest
from flask import Flask, g, request, url_for
from flask.testing import FlaskClient
from sqlalchemy import text

from app.core.web.request_state import request_state
from app.extensions import db
from app.users.models import User
from tests import services
from tests.conftest import MakeApp

HEALTH = "/health/live"


def test_client_calls_the_application(client: FlaskClient) -> None:
    response = client.get(HEALTH)
    assert response.status_code == 200
    assert response.json == {"status": "ok"}
    assert request.path == HEALTH  # the context of the last request, until the next one


@pytest.mark.options(max_content_length=7)
def test_config_and_url_for_are_those_of_the_application(client: FlaskClient, config: Any) -> None:
    assert config["MAX_CONTENT_LENGTH"] == 7
    assert client.get(url_for("health.read_liveness")).status_code == 200


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_live_server_answers_over_http(live_server: Any) -> None:
    connection = HTTPConnection(live_server.host, live_server.port, timeout=services.SECONDS)
    for path, status in ((HEALTH, 200), ("/health/ready", 200), ("/nothing", 404)):
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == status
        assert response.headers["X-Request-ID"]
        response.read()
    connection.close()


def test_requests_of_a_client_share_neither_state_nor_session(make_app: MakeApp) -> None:
    app, seen = make_app(), []

    @app.get("/seen")
    def see() -> str:
        seen.append((g.get("left"), request_state(), db.session(), list(db.session.new)))
        g.left = "from the request before"
        db.session.add(User(email="never@example.com", name="Never", role="user"))
        return "seen"

    with app.test_request_context(), app.test_client() as client:
        outer = request_state()
        for _ in range(2):
            assert client.get("/seen").status_code == 200
    left, states, sessions, new = zip(*seen, strict=True)
    assert left == (None, None)
    assert new == ([], [])
    assert sessions[0] is not sessions[1]
    assert len({id(state) for state in (outer, *states)}) == 3


def test_requests_leave_no_open_transaction_in_the_test(app: Flask, client: FlaskClient) -> None:
    client.get("/health/ready")
    client.get("/health/ready")
    with app.app_context():
        assert db.session.execute(text("SELECT 1")).scalar() == 1
        assert db.engine.pool.checkedout() == 1  # type: ignore[attr-defined]

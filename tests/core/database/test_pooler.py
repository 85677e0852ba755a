"""PgBouncer in transaction mode. `make test-pgbouncer` sends the whole suite that way."""

import io
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from urllib.parse import urlsplit

import psycopg
import pytest
from flask import Flask
from flask_migrate import upgrade

from app.extensions import db
from tests import services
from tests.api import Api
from tests.conftest import MakeApp, on_postgresql, server_url, skip_or_fail
from tests.live import ROOT
from tests.pooler import ROLE
from tests.rows import database_name, in_parallel, terminate_connections

pytestmark = on_postgresql


@pytest.fixture
def pooled_url(request: pytest.FixtureRequest, app: Flask, database_url: str) -> Iterator[str]:
    """The database of `app`, behind a PgBouncer that has a single connection to the server."""
    server = urlsplit(server_url(request, "postgresql")).netloc
    with ExitStack() as stack:
        try:
            # A slow machine holds the only connection for longer than the shipped timeout.
            one = {"default_pool_size": 1, "query_wait_timeout": 60}
            pooler = stack.enter_context(services.pgbouncer(f"postgresql://{server}", **one))
        except services.Unavailable as reason:
            skip_or_fail(str(reason))
        with app.app_context():
            db.engine.dispose()  # of its connections: a test may end them
        yield f"postgresql://postgres:any@{pooler}{urlsplit(database_url).path}"


@pytest.fixture
def pooled(make_app: MakeApp, pooled_url: str) -> Api:
    return Api(make_app(database_url=pooled_url, database_pooler=True))


def test_parallel_requests_share_one_connection_of_the_pooler(pooled: Api) -> None:
    caller = pooled.sign_up()
    pooled.post("errands", {"title": "T"}, by=caller, status=201)
    for _ in range(10):  # psycopg would prepare the sixth execution of a statement
        responses = in_parallel(*[lambda: pooled.get("errands", by=caller)] * 4)
        assert {response.status_code for response in responses} == {200}


# begin jobs
def test_export_and_import_work_with_a_pooler(pooled: Api) -> None:
    editor = pooled.sign_up("editor")
    article = {"name": "Mug", "category": "kitchen", "price": "1.50", "currency": "EUR"}
    lines = [json.dumps({"sku": f"POOL-{n}", **article}) for n in range(600)]
    sent = {"content_type": "application/x-ndjson", "data": "\n".join(lines)}
    job = pooled.call("POST", "articles/imports", by=editor, status=202, **sent).headers["Location"]
    assert pooled.get(job, by=editor).json["result"]["created"] == 600
    exported = pooled.get("articles/export", by=editor, status=200)
    assert exported.text.count("\n") == 600


# end jobs
def test_idempotency_key_creates_one_row_with_a_pooler(pooled: Api) -> None:
    caller = pooled.sign_up()
    key = {"Idempotency-Key": "a-key-that-is-retried"}
    calls = [lambda: pooled.post("errands", {"title": "T"}, by=caller, headers=key)] * 4
    statuses = [response.status_code for response in in_parallel(*calls)]
    assert set(statuses) <= {201, 409}
    assert len(pooled.get("errands", by=caller).json["items"]) == 1


def test_connection_of_the_pooler_that_postgresql_ended_is_replaced(
    request: pytest.FixtureRequest, pooled: Api
) -> None:
    caller = pooled.sign_up()
    with psycopg.connect(server_url(request, "postgresql"), autocommit=True) as superuser:
        terminate_connections(superuser, pooled.app.config["DATABASE_URL"])
    pooled.post("errands", {"title": "T"}, by=caller, status=201)


def test_unavailable_database_behind_a_pooler_is_503_until_it_is_back(
    request: pytest.FixtureRequest, pooled: Api
) -> None:
    pooled.get("articles", status=200)
    allow = f"ALTER DATABASE {database_name(pooled.app.config['DATABASE_URL'])} ALLOW_CONNECTIONS"
    with psycopg.connect(server_url(request, "postgresql"), autocommit=True) as superuser:
        superuser.execute(f"{allow} false")
        try:
            terminate_connections(superuser, pooled.app.config["DATABASE_URL"])
            assert int(pooled.get("articles", status=503).headers["Retry-After"]) > 0
            pooled.get("/health/ready", status=503)
        finally:
            superuser.execute(f"{allow} true")
    shipped = (ROOT / "deploy/pgbouncer/pgbouncer.ini").read_text().splitlines()
    assert "server_login_retry = 1" in shipped  # seconds; by default 15
    deadline = time.monotonic() + services.SECONDS
    while pooled.get("articles").status_code != 200:
        assert time.monotonic() < deadline


def test_role_without_timeouts_is_logged(make_app: MakeApp, pooled_url: str) -> None:
    with redirect_stdout(io.StringIO()) as output:
        app = make_app(database_url=pooled_url, database_pooler=True, log_level="WARNING")
        Api(app).get("articles", status=200)
    [line] = [
        line for line in output.getvalue().splitlines() if "database_timeouts_missing" in line
    ]
    assert set(json.loads(line)["settings"]) == set(ROLE) - {"timezone"}


def test_migrations_refuse_a_pooler(pooled: Api) -> None:
    with (
        pooled.app.app_context(),
        pytest.raises(SystemExit, match="run migrations on PostgreSQL directly"),
    ):
        upgrade()

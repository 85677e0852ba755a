"""Exports: rows, access, streams that end early."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import insert

from app.core.files.csv_injection import unescape_formula
from app.core.resources import export
from app.core.resources.list_statements import build_list_query
from app.extensions import db
from tests import rows, services
from tests.api import Api, Caller, bearer
from tests.articles.demo import sample_article
from tests.articles.models import ALL_ARTICLES, Article
from tests.articles.schemas import ArticleQuery, ArticleSchema
from tests.conftest import MakeApp, new_database, on_postgresql
from tests.live import Live, serve, wait_until

CSV = {"Accept": "text/csv"}


MANY = 200_000


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''-1"]


HARMLESS = ["", "'", "'a", "1-1", "a=1", " =1", "it's", "''"]


def test_exported_cells_are_no_formulas_and_unescape_to_their_values(
    api: Api, user: Caller
) -> None:
    texts = [*FORMULAS, *HARMLESS[1:], 'a "quoted", word', "two\r\nlines", "ünïcödé 🫖"]
    for text in texts:
        api.post("errands", {"title": text, "description": text}, by=user, status=201)
    exported = api.get("errands/export?sort=created_at", by=user, headers=CSV, status=200)
    cells = list(csv.DictReader(io.StringIO(exported.text, newline=""), strict=True))
    assert [unescape_formula(row["title"]) for row in cells] == texts
    assert [unescape_formula(row["description"]) for row in cells] == texts
    assert not any(row["title"].startswith(("=", "+", "-", "@", "\t", "\r")) for row in cells)


def test_csv_export_writes_values_as_in_json_and_null_as_empty_cell(
    api: Api, editor: Caller
) -> None:
    article = {"sku": "A-1", "name": "Mug", "category": "kitchen", "price": "12.5"}
    made = api.post("articles", article | {"currency": "EUR"}, by=editor, status=201).json
    header, line = api.get("articles/export", by=editor, headers=CSV, status=200).data.split(
        b"\r\n"
    )[:2]
    assert header == (
        b"created_at,updated_at,sku,name,description,category,price,currency,stock,is_active"
    )
    stamps = f"{made['created_at']},{made['updated_at']}"
    assert line.decode() == f"{stamps},A-1,Mug,,kitchen,12.50,EUR,0,true"


def test_export_without_rows_is_a_header_or_empty(api: Api, user: Caller) -> None:
    assert api.get("errands/export", by=user, status=200).data == b""
    assert api.get("errands/export", by=user, headers=CSV, status=200).data.count(b"\r\n") == 1


def test_export_of_articles_needs_authentication_and_permission(
    api: Api, user: Caller, editor: Caller
) -> None:
    article = {"sku": "A-1", "name": "Mug", "category": "c", "price": "1", "currency": "EUR"}
    api.post("articles", article | {"is_active": False}, by=editor, status=201)
    assert api.get("articles/export", by=user, status=200).data == b""
    assert api.get("articles/export", by=editor, status=200).data != b""
    api.get("articles/export?is_active=false", by=user, status=403)
    api.get("articles/export", status=401)
    for scope, status in (("articles:read", 200), ("errands:own", 403)):
        key = {"name": "Export", "scopes": [scope]}
        secret = api.post("auth/api-keys", key, by=user, status=201).json["secret"]
        api.get("articles/export", headers=bearer(secret), status=status)


def test_export_has_the_filters_of_the_list(api: Api, user: Caller) -> None:
    for title, priority in (("Water", "high"), ("Weed", "low"), ("Wash", "high")):
        api.post("errands", {"title": title, "priority": priority}, by=user, status=201)
    found = api.get("errands/export?priority=high&sort=title", by=user, headers=CSV, status=200)
    exported = csv.DictReader(io.StringIO(found.text, newline=""))
    assert [row["title"] for row in exported] == ["Wash", "Water"]


def test_exports_have_a_separate_rate_limit(make_app: MakeApp, user: Caller) -> None:
    limited = Api(make_app(bulk_rate_limit="2 per day"))
    for status in (200, 200, 429):
        limited.get("errands/export", by=user, status=status)
    limited.get("errands", by=user, status=200)


@pytest.fixture
def catalogue(app: Flask) -> int:
    """Articles for more than one chunk; how many."""
    number = 3 * export.CHUNK_ROWS + 7
    with app.app_context():
        db.session.execute(insert(Article), [sample_article(n) for n in range(number)])
        db.session.commit()
    return number


def test_export_is_a_snapshot_and_does_not_block_writes(
    app: Flask, api: Api, editor: Caller, catalogue: int
) -> None:
    response = app.test_client().get("/api/v1/articles/export", headers=editor.headers)
    chunks = iter(response.response)
    first = next(chunks)
    article = {"sku": "LATE", "name": "Mug", "category": "c", "price": "1", "currency": "EUR"}
    api.post("articles", article, by=editor, status=201)
    api.get("articles", by=editor, status=200)
    rest = b"".join(chunks)
    response.close()
    assert (first + rest).count(b"\n") == catalogue
    assert b"LATE" not in first + rest


def test_export_chunks_need_no_request_context(app: Flask, catalogue: int) -> None:
    schema = ArticleSchema(only=("sku",))
    statement = build_list_query(ALL_ARTICLES, schema, ArticleQuery(), (), "name")
    with app.app_context():
        stream = export.iter_chunks(statement, {}, schema, export.CSV)
        chunks = list(stream)
    assert b"".join(chunks).startswith(b"sku\r\n")
    assert b"".join(chunks).count(b"\r\n") == catalogue + 1
    assert len(chunks) > 1


def test_closed_export_returns_its_database_connection(
    app: Flask, editor: Caller, catalogue: int
) -> None:
    for _ in range(20):  # more than the pool has
        response = app.test_client().get("/api/v1/articles/export", headers=editor.headers)
        next(iter(response.response))
        response.close()
    with app.app_context():
        assert db.engine.pool.checkedout() == 0


@on_postgresql
def test_database_error_before_the_first_row_of_an_export_is_503(
    app: Flask, api: Api, editor: Caller
) -> None:
    with app.app_context(), db.engine.begin() as holder:
        holder.exec_driver_sql("LOCK TABLE articles")
        api.get("articles/export", by=editor, status=503)
        api.call("HEAD", "articles/export", by=editor, status=200)
    assert rows.count(app, Article) == 0


@pytest.fixture(scope="module")
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("export")
    with new_database(request, "postgresql", folder) as url:
        yield url


@pytest.fixture(scope="module")
def live(database: str) -> Iterator[Live]:
    """One process, with a large catalogue; a transaction may be idle for four seconds."""
    settings = {"WEB_CONCURRENCY": "1", "STATEMENT_TIMEOUT_MS": "2000"}
    plenty = {"RATE_LIMIT": "10000 per minute", "BULK_RATE_LIMIT": "10000 per minute"}
    with serve(database, **settings, **plenty) as service:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO articles SELECT gen_random_uuid(), 'BULK-' || n, 'Mug ' || n,"
                " repeat('x', 100), 'bulk', 1, 'EUR', 1, true, 1,"
                f" now() + n * interval '1 ms', now() FROM generate_series(1, {MANY}) AS n"
            )
            connection.execute("ANALYZE articles")
        yield service


@pytest.fixture(scope="module")
def editor_of(live: Live) -> dict[str, str]:
    return live.log_in()


@contextmanager
def begun(live: Live, headers: dict[str, str]) -> Iterator[HTTPResponse]:
    """The response of an export; its body is not read yet."""
    connection = HTTPConnection(live.url.removeprefix("http://"), timeout=services.SECONDS)
    connection.request("GET", "/api/v1/articles/export?category=bulk", headers=headers)
    with connection.getresponse() as response:
        assert response.status == 200
        yield response
    connection.close()


def states(database: str) -> list[str]:
    """The states of the service's connections to the database."""
    with psycopg.connect(database) as observer:
        found = observer.execute(
            "SELECT state FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'web'"
        )
        return [state for (state,) in found]


def broken_off(live: Live) -> int:
    return sum(not end["complete"] for end in ends(live))


def ends(live: Live) -> list[dict[str, Any]]:
    """The log events of finished exports."""
    lines = [line for line in live.log_lines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["event"] == "export_finished"]


def resident(pid: int) -> int:
    """The bytes that a process has in memory."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
def test_memory_of_a_large_export_is_bounded(
    live: Live, editor_of: dict[str, str], accept: str
) -> None:
    (pid,) = live.workers()
    before, most, lines = resident(pid), 0, 0
    with begun(live, editor_of | {"Accept": accept}) as response:
        while chunk := response.read(2**20):
            lines += chunk.count(b"\n")
            most = max(most, resident(pid))
    assert lines == MANY + (accept == "text/csv")
    assert most - before < 16 * 2**20


@pytest.mark.slow
def test_client_disconnect_ends_the_transaction_of_an_export(
    live: Live, database: str, editor_of: dict[str, str]
) -> None:
    before = broken_off(live)
    with begun(live, editor_of) as response:
        response.read(1000)
        wait_until(lambda: "idle in transaction" in states(database))
    wait_until(lambda: broken_off(live) == before + 1)
    assert set(states(database)) == {"idle"}


@pytest.mark.slow
def test_client_that_stops_reading_an_export_is_disconnected(
    live: Live, database: str, editor_of: dict[str, str]
) -> None:
    before = broken_off(live)
    with begun(live, editor_of) as response:
        wait_until(lambda: broken_off(live) == before + 1)
        with pytest.raises((HTTPException, OSError)):
            response.read()
    assert set(states(database)) <= {"idle"}  # PostgreSQL may have closed the connection


@pytest.mark.slow
def test_interrupted_export_is_an_incomplete_response(
    live: Live, database: str, editor_of: dict[str, str]
) -> None:
    with begun(live, editor_of) as response:
        response.read(1000)
        with psycopg.connect(database, autocommit=True) as killer:
            # It is idle only between two reads.
            wait_until(
                lambda: killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'web'"
                    " AND state = 'idle in transaction'"
                ).fetchall()
            )
        with pytest.raises((HTTPException, OSError)):
            response.read()
    wait_until(lambda: live.call("GET", "articles?limit=1").status == 200)


@pytest.mark.slow
def test_end_of_an_export_is_logged(live: Live, editor_of: dict[str, str]) -> None:
    live.call("GET", "articles/export?category=none", headers=editor_of)
    wait_until(lambda: (0, True) in [(end["rows"], end["complete"]) for end in ends(live)])

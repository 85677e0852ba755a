"""Imports of products: query plans, and the rows that keep the file."""

import io
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import update

from app.core.background.periodic import purge_uploads
from app.core.database.types import now
from app.core.files import uploads
from app.core.files.uploads import StoredUpload, UploadChunk
from app.extensions import db
from app.jobs.models import Job
from app.jobs.runner import run_job
from app.products import imports
from tests import rows
from tests.api import Api, Caller
from tests.conftest import Counter, MakeApp, on_postgresql
from tests.products.import_requests import CSV, csv, line, send, skus


@on_postgresql
def test_plan_that_finds_repeated_skus_does_not_depend_on_statistics(app: Flask) -> None:
    with app.app_context():
        statement = imports.insert_seen_skus(uuid4(), ["a", "b"])
        compiled = statement.compile(dialect=db.engine.dialect)
        explain = f"EXPLAIN {compiled}"
        plan = db.session.connection().exec_driver_sql(explain, compiled.params).scalars()
        lines = [re.sub(r" anon_.*|  \(.*", "", line.strip(" ->")) for line in plan]
    assert lines == [
        "Insert on import_seen_skus",
        "Conflict Resolution: NOTHING",
        "Function Scan on json_array_elements_text",
    ]


@on_postgresql
def test_plan_that_finds_products_by_sku_reads_the_index_for_any_number_of_rows(
    app: Flask,
) -> None:
    """Also a plan that was made for an empty table is not kept while the table grows."""
    with app.app_context():
        db.session.connection().exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        for _ in range(10):  # psycopg prepares a statement that is repeated
            imports._select_by_sku(["a"], lock=True)
        db.session.connection().exec_driver_sql(_MANY_PRODUCTS)
        before = db.session.connection().exec_driver_sql(_ROWS_SCANNED).scalar()
        imports._select_by_sku(["b7", "b8"], lock=True)
        after = db.session.connection().exec_driver_sql(_ROWS_SCANNED).scalar()
        db.session.rollback()
    assert after == before


_MANY_PRODUCTS = (
    "INSERT INTO products (id, sku, name, category, price, currency, stock, is_active, version,"
    " created_at, updated_at) SELECT gen_random_uuid(), 'B' || n, 'N', 'c', 1, 'EUR', 0, true, 1,"
    " now(), now() FROM generate_series(1, 60000) AS n"
)

_ROWS_SCANNED = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'products'"


def test_files_without_a_job_are_purged_after_a_day(
    app: Flask, api: Api, editor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process was killed before the job was created."""
    monkeypatch.setattr(app.extensions["jobs"], "send", lambda job_id: None)
    send(api, editor, csv(line("A")), status=202)
    with app.app_context():
        uploads.store_chunks([b"orphan"], CSV, "identity", uuid4())
        assert purge_uploads() == 0
    with app.app_context():
        db.session.execute(update(StoredUpload).values(created_at=now() - timedelta(days=2)))
        db.session.commit()
    with app.app_context():
        assert purge_uploads() == 1
    [job_id] = rows.read(app, Job.id)
    with app.app_context():
        run_job(job_id)
    assert skus(app) == ["A"]


def test_file_of_a_repeated_request_is_not_stored(
    app: Flask, api: Api, editor: Caller, queries: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.extensions["jobs"], "send", lambda job_id: None)
    headers = {"Idempotency-Key": "import-1"}
    send(api, editor, csv(line("A")), headers=headers, status=202)
    for file, status in ((csv(line("A")), 202), (csv(line("B")), 422)):
        with queries() as sent:
            send(api, editor, file, headers=headers, status=status)
        assert not any("INSERT INTO upload_chunks" in sql for sql in sent)
    assert rows.count(app, UploadChunk) == 1
    send(api, editor, csv(line("A")), headers={"Idempotency-Key": "a b"}, status=400)
    assert rows.count(app, UploadChunk) == 1


def test_file_of_a_refused_request_is_deleted(
    make_app: MakeApp, app: Flask, editor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(make_app(max_upload_length=1000))
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 100)
    stream = io.BytesIO(b"x" * 2000)
    api.call(
        "POST",
        "products/imports",
        by=editor,
        input_stream=stream,
        headers={"Content-Type": CSV, "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
        status=413,
    )
    api.call(
        "POST",
        "products/imports",
        by=editor,
        input_stream=io.BytesIO(b"x" * 350),
        headers={"Content-Type": CSV},
        environ_overrides={"CONTENT_LENGTH": "900"},
        status=400,
    )
    assert rows.count(app, UploadChunk) == 0

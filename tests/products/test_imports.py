"""Importing products: valid lines are created or updated, invalid ones reported by number."""

import gzip
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from app.audit.models import AuditEvent
from app.core.database import bulk
from app.core.database.types import now
from app.core.files import uploads
from app.core.files.uploads import StoredUpload, UploadChunk
from app.extensions import db
from app.jobs import runner
from app.jobs.models import Job, JobProblem
from app.jobs.periodic import purge_uploads
from app.jobs.runner import run_job
from app.products import imports
from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, error_locations, run_command
from tests.conftest import Counter, MakeApp, on_postgresql

HEADER = "sku,name,description,category,price,currency,stock,is_active"
CSV, NDJSON = "text/csv", "application/x-ndjson"

Import = Callable[..., dict[str, Any]]


def csv(*lines: str | bytes, header: str = HEADER) -> bytes:
    parts = [line.encode() if isinstance(line, str) else line for line in (header, *lines)]
    return b"\r\n".join(parts) + b"\r\n"


def line(sku: str, **changes: Any) -> str:
    values = {
        "sku": sku,
        "name": "Enamel mug",
        "description": "",
        "category": "kitchen",
        "price": "12.50",
        "currency": "EUR",
        "stock": "3",
        "is_active": "true",
    }
    return ",".join({**values, **changes}.values())


def send(
    api: Api, by: Caller | None, data: bytes, media_type: str = CSV, query: str = "", **kwargs: Any
) -> TestResponse:
    headers = {"Content-Type": media_type, **kwargs.pop("headers", {})}
    path = f"products/imports{query}"
    return api.call("POST", path, by=by, data=data, headers=headers, **kwargs)


@pytest.fixture
def importing(api: Api, editor: Caller) -> Import:
    """`importing(file)` imports the file and returns the finished job."""

    def run(data: bytes, media_type: str = CSV, query: str = "", **kwargs: Any) -> dict[str, Any]:
        started = send(api, editor, data, media_type, query, status=202, **kwargs)
        job: dict[str, Any] = api.get(started.headers["Location"], by=editor, status=200).json
        return job

    return run


@pytest.fixture
def problems(api: Api, editor: Caller) -> Callable[[dict[str, Any]], dict[int, set[str]]]:
    """`problems(job)` is the set of pointers of each invalid line by its number."""

    def read(job: dict[str, Any]) -> dict[int, set[str]]:
        found, path = [], f"/api/v1/jobs/{job['id']}/problems?limit=100"
        page = api.get(path, by=editor, status=200).json
        found = page["items"]
        while page["next_cursor"]:
            page = api.get(f"{path}&cursor={page['next_cursor']}", by=editor, status=200).json
            found += page["items"]
        return {each["line"]: {error["pointer"] for error in each["errors"]} for each in found}

    return read


def skus(app: Flask) -> list[str]:
    return sorted(rows.read(app, Product.sku))


def test_import_request_returns_the_job_that_imports_the_file(
    api: Api, app: Flask, editor: Caller
) -> None:
    started = send(api, editor, csv(line("A"), line("B")), status=202)
    assert started.json["state"] == "queued"
    assert started.json["type"] == "products.import"
    assert started.headers["ETag"].startswith('"1-')
    done = api.get(started.headers["Location"], by=editor, status=200).json
    assert done["state"] == "succeeded"
    assert (done["processed_count"], done["total"], done["failed_count"]) == (2, 2, 0)
    assert done["result"] == {"created": 2, "updated": 0, "unchanged": 0}
    assert skus(app) == ["A", "B"]


def test_imported_line_creates_the_same_product_as_a_post(
    api: Api, editor: Caller, importing: Import
) -> None:
    members = {
        "sku": "MUG-1",
        "name": 'Ünïcode, "quoted"\nand long',
        "category": "kitchen",
        "price": "0.5",
        "currency": "EUR",
    }
    importing(json.dumps(members).encode(), NDJSON)
    imported = api.get("products", status=200).json["items"][0]
    posted = api.post("products", {**members, "sku": "MUG-2"}, by=editor, status=201).json
    differing = {name for name in posted if posted[name] != imported[name]}
    assert differing == {"id", "sku", "created_at", "updated_at"}


def test_import_updates_the_product_with_the_same_sku_in_any_case(
    api: Api, editor: Caller, importing: Import
) -> None:
    importing(csv(line("mug-É", description="Old", stock="9")))
    before = api.get("products", status=200).json["items"][0]
    job = importing(
        csv("MUG-É,Tin mug,kitchen,1.00,USD", header="sku,name,category,price,currency")
    )
    after = api.get(f"products/{before['id']}", status=200).json
    assert job["result"] == {"created": 0, "updated": 1, "unchanged": 0}
    assert after == {
        **before,
        "sku": "MUG-É",
        "name": "Tin mug",
        "price": "1.00",
        "currency": "USD",
        "version": 2,
        "updated_at": after["updated_at"],
    }


def test_import_of_equal_values_changes_nothing(api: Api, importing: Import) -> None:
    file = csv(line("A"), line("B"))
    importing(file)
    before = api.get("products", status=200).json
    assert importing(file)["result"] == {"created": 0, "updated": 0, "unchanged": 2}
    assert api.get("products", status=200).json == before


def test_import_ignores_empty_cells(api: Api, importing: Import) -> None:
    importing(csv(line("A", description="Old", stock="5", is_active="true")))
    importing(csv(line("A", description="", stock="", is_active="")))
    product = api.get("products", status=200).json["items"][0]
    assert (product["description"], product["stock"], product["is_active"]) == (None, 5, True)


def test_import_ignores_read_only_columns_of_an_export(importing: Import) -> None:
    header = f"created_at,{HEADER},updated_at,version"
    file = csv(f"2020-01-01T00:00:00Z,{line('A')},x,7", header=header)
    assert importing(file)["result"]["created"] == 1
    record = {"sku": "B", "name": "B", "category": "c", "price": "1", "currency": "EUR"}
    file = json.dumps({**record, "created_at": "2020-01-01T00:00:00Z"}).encode()
    assert importing(file, NDJSON)["result"]["created"] == 1


def test_import_removes_the_csv_injection_escape(app: Flask, importing: Import) -> None:
    importing(csv(line("A", name="'=1+1"), line("B", name="''-x"), line("C", name="'tis")))
    assert sorted(rows.read(app, Product.name)) == ["'-x", "'tis", "=1+1"]


def test_import_accepts_quotation_marks_within_cells(app: Flask, importing: Import) -> None:
    importing(csv(line("A", name='12" pipe'), line("B"), line("C", name='15" pipe')))
    assert sorted(rows.read(app, Product.name)) == ['12" pipe', '15" pipe', "Enamel mug"]


def test_import_accepts_line_breaks_in_cells_byte_order_mark_and_blank_lines(
    app: Flask, importing: Import, problems: Any
) -> None:
    file = b"\xef\xbb\xbf" + csv(line("A", name='"two\r\nlines, ""quoted"""'), "", "X", line("B"))
    job = importing(file)
    assert rows.read(app, Product.name, sku="A") == ['two\r\nlines, "quoted"']
    assert skus(app) == ["A", "B"]
    assert problems(job) == {5: {"#/name", "#/category", "#/price", "#/currency"}}


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip"])  # RFC 9110 section 8.4.1.3
def test_import_accepts_gzip(app: Flask, importing: Import, coding: str) -> None:
    file = gzip.compress(csv(*[line(f"A{n}") for n in range(3000)]))
    job = importing(file, headers={"Content-Encoding": coding})
    assert (job["state"], job["processed_count"], job["total"]) == ("succeeded", 3000, 3000)
    assert rows.count(app, Product) == 3000


def test_import_of_many_batches_is_complete(
    app: Flask, importing: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH_LINES", 7)
    job = importing(csv(*[line(f"A{n}") for n in range(100)]))
    assert job["result"]["created"] == rows.count(app, Product) == 100


def test_imported_file_is_deleted(app: Flask, importing: Import) -> None:
    job = importing(csv(line("A")))
    assert rows.count(app, UploadChunk) == 0
    for finished_at, purged in ((None, 0), (now(), 1)):  # a running job still needs them
        state = "succeeded" if finished_at else "running"
        rows.change(app, Job, UUID(job["id"]), state=state, finished_at=finished_at)
        with app.app_context():
            assert imports.purge_seen_skus() == purged


@pytest.mark.parametrize("lines", [1, bulk.COPY_THRESHOLD])
def test_import_keeps_every_character(app: Flask, importing: Import, lines: int) -> None:
    odd = ["a\tb\nc\rd", "\\", "\\N", "\\.", "\\t", "", "'\"é\u2028🙂"]
    bodies = [
        {"sku": f"A{n}", "name": f"{n}{odd[n % 7]}", "description": odd[n % 7], "category": "x"}
        | {"price": "12.50", "currency": "EUR"}
        for n in range(lines)
    ]
    job = importing("\n".join(map(json.dumps, bodies)).encode(), NDJSON)
    assert job["result"]["created"] == lines
    sent = sorted((body["name"], body["description"]) for body in bodies)
    assert sorted(rows.read(app, Product.name)) == [name for name, _ in sent]
    assert sorted(rows.read(app, Product.description)) == sorted(text for _, text in sent)
    audited = rows.read(app, AuditEvent.after, resource="products")
    assert sorted((after["name"], after["description"]) for after in audited) == sent


def test_import_invalidates_the_product_summary(api: Api, importing: Import) -> None:
    assert api.get("products/summary", status=200).json["items"] == []
    importing(csv(line("A")))
    assert api.get("products/summary", status=200).json["items"][0]["count"] == 1


def test_import_writes_an_audit_event_for_each_change(
    api: Api, admin: Caller, importing: Import
) -> None:
    importing(csv(line("A"), line("B")))
    importing(csv(line("A", price="1"), line("B")))
    events = api.get("audit-events?resource=products", by=admin, status=200).json["items"]
    assert sorted(event["action"] for event in events) == ["create", "create", "update"]
    assert (events[0]["before"], events[0]["after"]) == ({"price": "12.50"}, {"price": "1.00"})


BROKEN = {
    "too few cells": "X,Y",
    "too many cells": line("x") + ",more",
    "bad UTF-8": line("x").encode() + b"\xff",
    "NUL": line("x", name="a\x00b"),
    "a huge field": line("x", name="n" * 100_000),
    "a long field": line("x", name="n" * 201),
    "a quote never closed": line("x", name='"open'),
    "text after a quote": line("x", name='"a"b'),
    "three decimals": line("x", price="1.505"),
    "no price": line("x", price=""),
    "a price with a comma": line("x", price='"1,50"'),
    "a negative price": line("x", price="-1"),
    "an unknown currency": line("x", currency="XXX"),
    "no currency": line("x", currency=""),
    "decimals of yen": line("x", price="1.5", currency="JPY"),
    "a stock that is no number": line("x", stock="many"),
    "a negative stock": line("x", stock="-1"),
    "a huge stock": line("x", stock="99999999999"),
    "a stock with a fraction": line("x", stock="1.5"),
    "not a boolean": line("x", is_active="yes"),
    "no sku": line("", name="b"),
    "a long sku": line("s" * 65),
    "no name": line("x", name=""),
    "no category": line("x", category=""),
    "a duplicate": line("GOOD-1"),
    "a duplicate in another case": line("good-2"),
}


def test_invalid_lines_are_reported_by_number_among_a_thousand_valid_ones(
    app: Flask, importing: Import, problems: Any
) -> None:
    """A thousand valid lines and thirty-seven invalid ones."""
    kinds = list(BROKEN.values())
    broken = [*kinds, *kinds[: 37 - len(kinds)]]
    lines: list[str | bytes] = []
    expected = set()
    for number in range(1000):
        lines.append(line(f"GOOD-{number}"))
        if number % 27 == 26:
            lines.append(broken[number // 27])
            expected.add(len(lines) + 1)  # after the header
    job = importing(csv(*lines))
    assert (job["state"], job["processed_count"], job["failed_count"]) == (
        "succeeded",
        1037,
        37,
    )
    assert set(problems(job)) == expected
    assert rows.count(app, Product) == 1000


@pytest.mark.parametrize("name", BROKEN)
def test_invalid_csv_line_is_reported_and_other_lines_are_imported(
    app: Flask, importing: Import, problems: Any, name: str
) -> None:
    lines = [line("GOOD-1"), line("GOOD-2"), BROKEN[name], line("GOOD-3")]
    job = importing(csv(*lines))
    assert set(problems(job)) == {4}
    assert skus(app) == ["GOOD-1", "GOOD-2", "GOOD-3"]


def test_invalid_line_reports_every_failing_member(importing: Import, problems: Any) -> None:
    job = importing(csv(line("x", price="cheap", currency="?", stock="-1")))
    assert problems(job) == {2: {"#/price", "#/currency", "#/stock"}}


@pytest.mark.parametrize(
    "text",
    [
        b"not json", b"[1]", b"1", b'{"sku": "x", "sku": "y"}', b'{"sku": "x", "name": NaN}',
        b'{"sku": "\xff"}', b'{"sku": "' + b"s" * 70_000 + b'"}', b'{"sku": "x", "nonsense": 1}',
        b"{}",
    ],
)  # fmt: skip
def test_invalid_ndjson_line_is_reported_and_other_lines_are_imported(
    app: Flask, importing: Import, problems: Any, text: bytes
) -> None:
    good = b'{"sku":"%b","name":"n","category":"c","price":"1","currency":"EUR"}'
    job = importing(b"\n".join([good % b"A", b"", text, good % b"B"]), NDJSON)
    assert list(problems(job)) == [3]
    assert skus(app) == ["A", "B"]


def test_import_with_on_error_abort_imports_nothing_when_a_line_is_invalid(
    api: Api,
    app: Flask,
    importing: Import,
    problems: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "BATCH_LINES", 2)
    lines = [line(f"A{n}") for n in range(5)]
    job = importing(csv(*lines, line("B", price="?"), line("a1")), query="?on_error=abort")
    assert (job["state"], job["failed_count"]) == ("failed", 2)
    assert "nothing was imported" in job["error"]
    assert set(problems(job)) == {7, 8}
    assert rows.count(app, Product) == 0

    job = importing(csv(*lines), query="?on_error=abort")
    assert job["result"] == {"created": 5, "updated": 0, "unchanged": 0}
    assert (job["processed_count"], job["total"]) == (5, 5)
    assert rows.count(app, Product) == 5


def test_invalid_lines_beyond_the_maximum_are_counted_only(
    app: Flask, importing: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH_LINES", 3)
    monkeypatch.setattr(imports, "MAX_PROBLEMS", 4)
    job = importing(csv(*["x"] * 10))
    assert job["failed_count"] == 10
    assert rows.count(app, JobProblem) == 4


def test_import_dry_run_reports_the_result_and_changes_nothing(
    api: Api, app: Flask, importing: Import, problems: Any
) -> None:
    importing(csv(line("A"), line("B")))
    before = api.get("products", status=200).json
    job = importing(csv(line("A", price="1"), line("B"), line("C"), "?"), query="?dry_run=true")
    assert job["result"] == {"created": 1, "updated": 1, "unchanged": 1}
    assert (job["state"], job["failed_count"]) == ("succeeded", 1)
    assert set(problems(job)) == {5}
    assert api.get("products", status=200).json == before


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"sku,colour\nA,red\n", "'colour'"),
        (b"sku,sku\nA,A\n", "more than once"),
        (b"\xff\xfe\n", "does not name the columns"),
        (b"\n\n", "does not name the columns"),
        (b'"sku\n', "does not name the columns"),
    ],
)
def test_import_of_file_with_invalid_header_fails_with_the_reason(
    importing: Import, file: bytes, reason: str
) -> None:
    job = importing(file)
    assert job["state"] == "failed"
    assert reason in job["error"]


@pytest.mark.parametrize("damage", [lambda z: b"plain", lambda z: z[:-9], lambda z: z[:40]])
def test_import_of_damaged_gzip_fails_with_the_reason(
    importing: Import, damage: Callable[[bytes], bytes]
) -> None:
    file = damage(gzip.compress(csv(*[line(f"A{n}") for n in range(10)])))
    job = importing(file, headers={"Content-Encoding": "gzip"})
    assert (job["state"], job["error"]) == (
        "failed",
        "The file is not, or not to its end, a gzip file.",
    )


def test_import_of_decompression_bomb_fails_with_the_reason(
    make_app: MakeApp, editor: Caller
) -> None:
    api = Api(make_app(max_upload_length=20_000))
    bomb = gzip.compress(b"\n" * 1_000_000)
    started = send(api, editor, bomb, headers={"Content-Encoding": "gzip"}, status=202)
    job = api.get(started.headers["Location"], by=editor, status=200).json
    assert (job["state"], job["error"]) == (
        "failed",
        "The file is too large once it is decompressed.",
    )


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "", "text/csv; charset=latin1"]
)
def test_import_of_another_media_type_is_415(api: Api, editor: Caller, media_type: str) -> None:
    refused = send(api, editor, csv(line("A")), media_type, status=415)
    assert refused.headers["Accept"] == "text/csv, application/x-ndjson"


def test_import_of_another_content_coding_is_415(api: Api, editor: Caller) -> None:
    headers = {"Content-Encoding": "br"}
    refused = send(api, editor, b"x", headers=headers, status=415)
    assert refused.headers["Accept-Encoding"] == "gzip, identity"


def test_import_without_a_file_is_422(api: Api, editor: Caller) -> None:
    assert error_locations(send(api, editor, b"", status=422)) == {"#"}


@pytest.mark.parametrize(
    ("query", "named"),
    [("?dry_run=1", "dry_run"), ("?on_error=stop", "on_error"), ("?force=true", "force")],
)
def test_import_with_invalid_parameter_is_422_and_stores_nothing(
    api: Api, app: Flask, editor: Caller, query: str, named: str
) -> None:
    assert error_locations(send(api, editor, csv(line("A")), query=query, status=422)) == {named}
    assert rows.count(app, UploadChunk) == rows.count(app, Job) == 0


def test_import_above_the_upload_limit_is_413(make_app: MakeApp, editor: Caller) -> None:
    api = Api(make_app(max_upload_length=1000))
    assert send(api, editor, b"x" * 1000, status=202)
    refused = send(api, editor, b"x" * 1001, status=413)
    assert refused.json["detail"] == "The body of the request is larger than 1000 bytes."


def test_refused_import_names_its_own_media_types_codings_and_limit(
    make_app: MakeApp, editor: Caller
) -> None:
    api = Api(make_app(max_content_length=2**20, max_upload_length=2 * 2**20))
    detail = send(api, editor, b"x", headers={"Content-Type": "image/png"}, status=415).json[
        "detail"
    ]
    assert "text/csv or application/x-ndjson" in detail
    assert "json in" not in detail.replace("x-ndjson in", "")
    detail = send(api, editor, b"x", headers={"Content-Encoding": "br"}, status=415).json["detail"]
    assert "gzip" in detail
    detail = send(api, editor, b"x" * (2**21 + 1), status=413).json["detail"]
    assert "larger than 2 MiB" in detail


def test_import_may_be_larger_than_other_request_bodies(make_app: MakeApp, editor: Caller) -> None:
    api = Api(make_app(max_content_length=100))
    send(api, editor, csv(line("A"), line("B")), status=202)


def test_import_without_permission_stores_nothing(api: Api, app: Flask, user: Caller) -> None:
    send(api, user, csv(line("A")), status=403)
    send(api, None, csv(line("A")), status=401)
    assert rows.count(app, UploadChunk) == 0


def test_import_repeated_with_idempotency_key_runs_once(
    api: Api, app: Flask, editor: Caller
) -> None:
    headers = {"Idempotency-Key": "import-1"}
    first = send(api, editor, csv(line("A")), headers=headers, status=202)
    again = send(api, editor, csv(line("A")), headers=headers, status=202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert again.data == first.data
    assert rows.count(app, Job) == 1
    send(api, editor, csv(line("B")), headers=headers, status=422)
    send(api, editor, csv(line("A")), query="?dry_run=true", headers=headers, status=422)


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


def seed(app: Flask, number: int) -> None:
    run_command(app, "seed", "--products", str(number))


def export(api: Api, by: Caller, media_type: str) -> bytes:
    accept = {"Accept": media_type}
    return api.get("products/export?sort=name", by=by, headers=accept, status=200).data


def without_timestamps(file: bytes) -> bytes:
    return re.sub(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", b"", file)


@pytest.mark.slow
@pytest.mark.parametrize("media_type", [CSV, NDJSON])
def test_import_of_an_export_of_fifty_thousand_products_restores_the_same_bytes(
    api: Api, app: Flask, editor: Caller, importing: Import, media_type: str
) -> None:
    seed(app, 50_000)
    before = export(api, editor, media_type)
    rows.remove(app, Product)
    job = importing(before, media_type)
    assert job["result"] == {"created": 50_000, "updated": 0, "unchanged": 0}
    after = export(api, editor, media_type)
    assert after != before
    assert without_timestamps(after) == without_timestamps(before)
    assert importing(after, media_type)["result"]["unchanged"] == 50_000


@pytest.mark.parametrize("name", ["all.csv", "all.ndjson", "all.csv.gz", "all.ndjson.gz"])
def test_import_command_restores_the_file_of_the_export_command(
    app: Flask, tmp_path: Path, name: str
) -> None:
    file = str(tmp_path / name)
    seed(app, 300)
    written = run_command(app, "products", "export", file)
    assert "Exported 300 products to" in written.output
    unchanged = run_command(app, "products", "import", file, "--dry-run")
    assert "Would be: 0 created, 0 updated, 300 unchanged" in unchanged.output
    rows.remove(app, Product)
    created = run_command(app, "products", "import", file)
    assert "300 created, 0 updated, 0 unchanged" in created.output
    assert rows.count(app, Product) == 300


def test_import_command_prints_invalid_lines(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_bytes(csv(line("A"), line("B", price="?"), line("a")))
    refused = app.test_cli_runner().invoke(
        args=["products", "import", str(file), "--on-error", "abort"]
    )
    assert refused.exit_code == 1
    assert "line 3: #/price Not a decimal string" in refused.output
    assert "line 4: #/sku An earlier line has this SKU." in refused.output
    assert rows.count(app, Product) == 0
    skipped = run_command(app, "products", "import", str(file))
    assert "2 lines are not valid" in skipped.output
    assert skus(app) == ["A"]


@pytest.mark.parametrize("failures", [1, 2])
def test_import_command_waits_until_a_failed_attempt_was_repeated(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    file = tmp_path / "some.csv"
    file.write_bytes(csv(line("A"), line("B")))
    count_lines, attempts = imports.count_lines, []

    def fail_at_first(stream: Any) -> int:
        attempts.append(None)
        if len(attempts) <= failures:
            raise OperationalError("UPDATE", {}, Exception("database is locked"))
        return count_lines(stream)

    monkeypatch.setattr(imports, "count_lines", fail_at_first)
    monkeypatch.setattr(runner, "FIRST_BACKOFF", timedelta(milliseconds=10))
    result = run_command(app, "products", "import", str(file))
    assert "2 created, 0 updated, 0 unchanged" in result.output
    for number in range(1, failures + 1):
        assert f"Attempt {number} failed" in result.output
    assert rows.count(app, Product) == 2


def test_import_command_fails_with_the_job(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "some.csv"
    file.write_bytes(csv(line("A")))

    def fail(stream: Any) -> int:
        raise RuntimeError

    monkeypatch.setattr(imports, "count_lines", fail)
    monkeypatch.setattr(runner, "FIRST_BACKOFF", timedelta(milliseconds=1))
    result = run_command(app, "products", "import", str(file), fails=True)
    assert result.output.splitlines()[-1] == "Error: Aborted after 5 attempts."


def test_export_command_refuses_unknown_file_format(app: Flask, tmp_path: Path) -> None:
    refused = app.test_cli_runner().invoke(args=["products", "export", str(tmp_path / "x.xls")])
    assert refused.exit_code == 2
    assert ".csv" in refused.output
    assert list(tmp_path.iterdir()) == []

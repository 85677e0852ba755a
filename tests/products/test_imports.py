"""Imports of products: CSV and NDJSON files with valid lines."""

import gzip
import json
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.audit.models import AuditEvent
from app.core.database import bulk
from app.core.database.types import now
from app.core.files.uploads import UploadChunk
from app.jobs.models import Job
from app.products import imports
from app.products.models import Product
from tests import rows
from tests.api import Api, Caller
from tests.products.import_requests import HEADER, NDJSON, Import, csv, line, send, skus


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


@pytest.mark.parametrize("charset", ["UTF8", "utf-16", "UTF-16LE", "utf-16be"])
def test_import_accepts_the_charsets_of_its_files(
    app: Flask, importing: Import, charset: str
) -> None:
    importing(csv(line("Ä")).decode().encode(charset), f"text/csv; charset={charset}")
    assert skus(app) == ["Ä"]


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
    file = gzip.compress(csv(*[line(f"A{n}") for n in range(600)]))
    job = importing(file, headers={"Content-Encoding": coding})
    assert (job["state"], job["processed_count"], job["total"]) == ("succeeded", 600, 600)
    assert rows.count(app, Product) == 600


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
    # begin audit
    audited = rows.read(app, AuditEvent.after, resource="products")
    assert sorted((after["name"], after["description"]) for after in audited) == sent
    # end audit


def test_import_invalidates_the_product_summary(api: Api, importing: Import) -> None:
    assert api.get("products/summary", status=200).json["items"] == []
    importing(csv(line("A")))
    assert api.get("products/summary", status=200).json["items"][0]["count"] == 1


# begin audit
def test_import_writes_an_audit_event_for_each_change(
    api: Api, admin: Caller, importing: Import
) -> None:
    importing(csv(line("A"), line("B")))
    importing(csv(line("A", price="1"), line("B")))
    events = api.get("audit-events?resource=products", by=admin, status=200).json["items"]
    assert sorted(event["action"] for event in events) == ["create", "create", "update"]
    assert (events[0]["before"], events[0]["after"]) == ({"price": "12.50"}, {"price": "1.00"})


# end audit

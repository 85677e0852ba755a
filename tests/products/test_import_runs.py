"""Imports that meet other transactions, the end of their process, or of their owner's rights."""

import gzip
import io
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import insert

from app.audit.models import AuditEvent
from app.core.files.record_reader import read_records
from app.jobs import job_run
from app.jobs.job_run import ShutdownRequested
from app.jobs.models import Job
from app.jobs.prefetch import prefetch_batches
from app.jobs.runner import run_job
from app.products import imports
from app.products.models import Product
from app.products.schemas import ProductSchema
from app.users.models import User
from tests import rows
from tests.api import Api, Caller
from tests.rows import blocked_by_lock

HEADER = b"sku,name,category,price,currency\n"
SECONDS = 30.0  # for which a thread waits at most; a healthy one needs two
OWNER_DENIED = "The owner of the job may no longer do this."


def products(number: int, name: str = "Mug") -> bytes:
    return HEADER + b"".join(b"A%d,%b,kitchen,1,EUR\n" % (n, name.encode()) for n in range(number))


def queue(api: Api, by: Caller, file: bytes, **headers: str) -> UUID:
    """The id of a new import that no worker runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api.app.extensions["jobs"], "send", lambda job_id: None)
        fields = {"Content-Type": "text/csv", **headers}
        created = api.call("POST", "products/imports", by=by, data=file, headers=fields, status=202)
    return UUID(created.json["id"])


def run(app: Flask, job_id: UUID) -> None:
    with app.app_context():
        run_job(job_id)


def test_import_that_meets_another_creation_of_its_products_updates_them_at_once(
    app: Flask, logged: Api, output: io.StringIO, editor: Caller
) -> None:
    """A transaction that has created one of the products commits while the import waits."""
    job_id = queue(logged, editor, products(600) + b"CLASHING-SKU,Mug,kitchen,1,EUR\n")
    other = {"name": "Old", "category": "kitchen", "price": 1, "currency": "EUR"}
    created = insert(Product).values({"sku": "clashing-sku", **other})
    blocked_by_lock(app, created, lambda: run(logged.app, job_id))
    job = logged.get(f"jobs/{job_id}", by=editor, status=200).json
    assert (job["state"], job["processed_count"], job["failed_count"]) == ("succeeded", 601, 0)
    assert job["result"] == {"created": 600, "updated": 1, "unchanged": 0}
    assert rows.count(app, Product, name="Mug") == rows.count(app, Product) == 601
    # begin audit
    assert rows.count(app, AuditEvent, resource="products") == 601
    # end audit
    assert "job_finished" in output.getvalue()
    assert "exception" not in output.getvalue()
    assert "clashing" not in output.getvalue().lower()


@pytest.mark.parametrize("change", [{"is_active": False}, {"role": "user"}])
@pytest.mark.parametrize("after", [0, 2])
def test_import_stops_at_the_next_batch_when_its_owner_loses_the_right(
    app: Flask,
    api: Api,
    editor: Caller,
    admin: Caller,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    after: int,
) -> None:
    job_id = queue(api, editor, products(100))
    [owner_id] = rows.read(app, Job.owner_id, id=job_id)
    committed: list[None] = []

    def note_commit() -> None:
        committed.append(None)
        if len(committed) == after:
            rows.change(app, User, owner_id, **change)

    monkeypatch.setattr(imports, "BATCH_LINES", 10)
    monkeypatch.setattr(imports, "invalidate_summary", note_commit)
    if not after:
        rows.change(app, User, owner_id, **change)
    run(app, job_id)
    job = api.get(f"jobs/{job_id}", by=admin, status=200).json
    assert (job["state"], job["error"]) == ("failed", OWNER_DENIED)
    assert rows.count(app, Product) == 10 * after == job["processed_count"]


def test_import_of_a_file_of_blank_lines_ends_without_products(
    app: Flask, api: Api, editor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH_LINES", 10)
    monkeypatch.setattr(job_run, "LEASE_RENEWAL", 0.0)
    job_id = queue(api, editor, HEADER + b"\n" * 55 + products(1).removeprefix(HEADER))
    run(app, job_id)
    job = api.get(f"jobs/{job_id}", by=editor, status=200).json
    assert (job["state"], job["result"]["created"]) == ("succeeded", 1)


def test_blank_lines_count_towards_a_batch() -> None:
    file = io.BytesIO(HEADER + b"\n" * 50 + b",,,,\r\n" * 50)
    records = read_records(file, "text/csv", ProductSchema())
    assert [(record.members, record.error) for record in records] == [(None, "")] * 100


def test_decompressed_file_is_limited_by_the_size_that_was_sent(
    app: Flask, api: Api, editor: Caller
) -> None:
    bomb = gzip.compress(HEADER + b"\n" * 20_000_000)
    assert len(bomb) < 30_000
    job_id = queue(api, editor, bomb, **{"Content-Encoding": "gzip"})
    run(app, job_id)
    job = api.get(f"jobs/{job_id}", by=editor, status=200).json
    assert job["state"] == "failed"
    assert "more than 100 times as large" in job["error"]
    assert "Send it without Content-Encoding." in job["error"]


def test_repetitive_file_is_decompressed(app: Flask, api: Api, editor: Caller) -> None:
    file = gzip.compress(HEADER + b"x" * 900_000)
    assert len(file) < 3000
    job_id = queue(api, editor, file, **{"Content-Encoding": "gzip"})
    run(app, job_id)
    job = api.get(f"jobs/{job_id}", by=editor, status=200).json
    assert (job["state"], job["failed_count"]) == ("succeeded", 1)


def test_lease_is_renewed_while_a_batch_is_read(app: Flask) -> None:
    """The reader continues only after the lease was looked at twice."""
    looked_at = threading.Semaphore(0)

    class Run:
        def heartbeat(self) -> None:
            looked_at.release()

    def read(check_stopped: Any) -> Iterator[int]:
        for number in range(2):
            assert looked_at.acquire(timeout=SECONDS)
            check_stopped()
            yield number

    with app.app_context(), prefetch_batches(Run(), read) as batches:  # type: ignore[arg-type]
        assert list(batches) == [0, 1]


def test_reader_is_stopped_when_the_job_ends_early(app: Flask) -> None:
    """Such as by a shutdown, while the reader is in a part of the file without records."""
    stopped = threading.Event()

    class Ended(Exception):
        pass

    class Run:
        def heartbeat(self) -> None:
            raise Ended

    def read(check_stopped: Any) -> Iterator[int]:
        try:
            while time.monotonic() < deadline:
                check_stopped()
        except ShutdownRequested:
            stopped.set()
            raise
        yield 0

    deadline = time.monotonic() + SECONDS
    with (
        app.app_context(),
        pytest.raises(Ended),
        prefetch_batches(Run(), read) as batches,  # type: ignore[arg-type]
    ):
        list(batches)
    assert stopped.is_set()

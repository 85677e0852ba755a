"""Imports of products: invalid lines, damaged files, requests that are refused."""

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app.core.files.uploads import UploadChunk
from app.jobs.models import Job, JobProblem
from app.products import imports
from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp
from tests.products.import_requests import NDJSON, Import, csv, line, send, skus

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
    "a price with a comma": line("x", price='"1,500"'),
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


@pytest.mark.parametrize("environ", [{}, {"wsgi.input_terminated": True}], ids=["WSGI", "gunicorn"])
def test_import_above_the_upload_limit_is_413(
    make_app: MakeApp, editor: Caller, environ: dict[str, Any]
) -> None:
    api = Api(make_app(max_upload_length=1000))
    send(api, editor, b"x" * 1000, environ_overrides=environ, status=202)
    refused = send(api, editor, b"x" * 1001, environ_overrides=environ, status=413)
    assert refused.json["detail"] == "The body of the request is larger than 1000 bytes."


def test_refused_import_names_its_own_media_types_codings_and_limit(
    make_app: MakeApp, editor: Caller
) -> None:
    api = Api(make_app(max_content_length=2**20, max_upload_length=2 * 2**20))
    detail = send(api, editor, b"x", headers={"Content-Type": "image/png"}, status=415).json[
        "detail"
    ]
    assert detail == "The body must be text/csv or application/x-ndjson."
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

"""Import and export of products: round trip, and the commands."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.jobs import runner
from app.products import imports
from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, run_command
from tests.products.import_requests import CSV, NDJSON, Import, csv, line, skus


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

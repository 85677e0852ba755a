"""Exports that were opened and saved by other programs, and imported again.

files/export.csv is an export. The other files were made from it, with the programs themselves:

* pandas 3.1.1: `read_csv("export.csv")`, then `to_csv`: with its defaults (pandas-index.csv), with
  `index=False` after `stock` became a column of floats (pandas.csv), and with `sep=";"`,
  `decimal=","` and `encoding="utf-16"` (pandas-semicolon-utf16.csv).
* LibreOffice 7.4.7: `soffice --convert-to ods export.csv` with the import filter
  `CSV:44,34,76,1`, then `--convert-to "csv:Text - txt - csv (StarCalc):…"` of that document with
  `44,34,76`, `44,34,76,1,,0,true` (quoted), `59,34,76` (semicolon) and `9,34,65535` (tab-utf16).
"""

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.products.models import Product
from tests import rows
from tests.api import Api, Caller

FILES = Path(__file__).parent / "files"
EXPORT = (FILES / "export.csv").read_bytes()
SAVED = sorted(path.name for path in FILES.iterdir() if path.name != "export.csv")


def import_file(api: Api, editor: Caller, file: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "text/csv"}
    started = api.call(
        "POST", "products/imports", by=editor, data=file, headers=headers, status=202
    )
    job: dict[str, Any] = api.get(started.headers["Location"], by=editor, status=200).json
    problems = api.get(f"jobs/{job['id']}/problems", by=editor, status=200).json["items"]
    return {**job, "problems": problems}


@pytest.fixture
def catalogue(api: Api, editor: Caller) -> int:
    """The products of the export; how many."""
    job = import_file(api, editor, EXPORT)
    assert (job["state"], job["problems"]) == ("succeeded", [])
    created: int = job["result"]["created"]
    return created


def excel(file: bytes, *, separator: str = ",", line_end: str = "\r\n", mark: bool = True) -> bytes:
    """The file as Excel saves it: LF within cells, words for booleans in capitals."""
    text = file.decode().replace("\r\n", "\0").replace(",true\0", ",TRUE\0")
    text = text.replace(",false\0", ",FALSE\0")
    if separator == ";":
        text = re.sub(r",(\d+)\.(\d+),(?=[A-Z]{3},)", r",\1_\2,", text)
        text = re.sub(r'("(?:[^"]|"")*")|,', lambda match: match[1] or ";", text).replace("_", ",")
        text = text.replace("created,at", "created_at").replace("updated,at", "updated_at")
        text = text.replace("is,active", "is_active")
        text = text.replace(";a;b;", ';"a;b";')
    return text.replace("\0", line_end).encode("utf-8-sig" if mark else "utf-8")


def test_export_is_the_file_that_was_given_to_the_programs(
    api: Api, editor: Caller, catalogue: int
) -> None:
    exported = api.get(
        "products/export?sort=created_at", by=editor, headers={"Accept": "text/csv"}, status=200
    )

    def comparable(file: bytes) -> list[str]:
        stamp = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
        return sorted(re.split(rf"{stamp},{stamp},", file.decode()))

    assert comparable(exported.data) == comparable(EXPORT)


@pytest.mark.parametrize("name", SAVED)
def test_export_saved_by_another_program_changes_no_product(
    app: Flask, api: Api, editor: Caller, catalogue: int, name: str
) -> None:
    before = sorted(rows.read(app, Product.name)), sorted(rows.read(app, Product.updated_at))
    job = import_file(api, editor, (FILES / name).read_bytes())
    assert job["problems"] == []
    assert job["result"] == {"created": 0, "updated": 0, "unchanged": catalogue}
    after = sorted(rows.read(app, Product.name)), sorted(rows.read(app, Product.updated_at))
    assert after == before


@pytest.mark.parametrize(
    "file",
    [
        excel(EXPORT),
        excel(EXPORT, separator=";"),
        b"sep=;\r\n" + excel(EXPORT, separator=";", mark=False),
        excel(EXPORT, line_end="\r"),
        excel(EXPORT, line_end="\r", mark=False),
        excel(EXPORT).decode("utf-8-sig").encode("utf-16"),
    ],
    ids=["CSV UTF-8", "semicolon", "sep line", "CR", "CR without mark", "UTF-16"],
)
def test_export_saved_by_excel_changes_no_product(
    api: Api, editor: Caller, catalogue: int, file: bytes
) -> None:
    job = import_file(api, editor, file)
    assert job["problems"] == []
    assert job["result"] == {"created": 0, "updated": 0, "unchanged": catalogue}


def test_file_in_windows_1252_is_refused_with_what_to_do(api: Api, editor: Caller) -> None:
    file = "sku,name,category,price,currency\r\nA,Größe,c,1,EUR\r\n".encode("cp1252")
    [problem] = import_file(api, editor, file)["problems"]
    assert problem["errors"] == [
        {
            "detail": "The line is not UTF-8. Save the file as UTF-8; in Excel, choose “CSV "
            "UTF-8”.",
            "pointer": "#",
        }
    ]


def test_document_of_a_spreadsheet_program_is_refused_with_what_to_do(
    api: Api, editor: Caller
) -> None:
    job = import_file(api, editor, b"PK\x03\x04" + bytes(1000))
    assert (job["state"], job["error"]) == (
        "failed",
        "The file is a document of a spreadsheet program, not text. Export it as CSV.",
    )

"""Exports of every resource: the rows of its list in the same order, as one stream."""

import csv
import io
from itertools import product

import pytest

from app.core.web import strict_json
from tests.conftest import Counter
from tests.contract.operations import COLLECTIONS, CREATES, EXPORTS, Operation, ids
from tests.contract.world import World, walk

ROWS = 5
NDJSON, CSV = "application/x-ndjson", "text/csv"
EVERY_SORT = [
    pytest.param(o, sort, id=f"{o} by {sort}")
    for o in EXPORTS
    for sort in o.parameters["sort"]["enum"]
]
every_export = pytest.mark.parametrize("export", EXPORTS, ids=ids)


def list_of(export: Operation) -> Operation:
    """The list whose items are exported."""
    return next(o for o in COLLECTIONS if o.rule == export.rule.rpartition("/")[0])


@pytest.fixture
def filled(world: World, export: Operation) -> World:
    """A world with some rows of the resource."""
    create = next(c for c in CREATES if c.rule == list_of(export).rule)
    for _ in range(ROWS):
        assert world.call(create, world.writer(create)).status_code == 201
    return world


def lines(world: World, export: Operation, query: str = "") -> list[bytes]:
    response = world.api.get(export.rule + query, by=world.writer(export), status=200)
    assert response.mimetype == NDJSON
    assert response.data == b"" or response.data.endswith(b"\n")
    return response.data.splitlines()


@pytest.mark.parametrize(("export", "sort"), EVERY_SORT)
def test_export_lines_equal_the_items_of_the_list(
    filled: World, export: Operation, sort: str
) -> None:
    pages = walk(filled, list_of(export), f"{list_of(export).rule}?sort={sort}&limit=2")
    exported = lines(filled, export, f"?sort={sort}")
    assert len(exported) >= ROWS
    members = strict_json.loads(exported[0]).keys()
    listed = [{k: v for k, v in item.items() if k in members} for p in pages for item in p["items"]]
    assert exported == [strict_json.dumps(item) for item in listed]


@every_export
def test_csv_export_equals_ndjson_export(filled: World, export: Operation) -> None:
    by = filled.writer(export)
    response = filled.api.get(export.rule, by=by, headers={"Accept": CSV}, status=200)
    assert response.content_type == "text/csv; charset=utf-8; header=present"
    assert response.data.endswith(b"\r\n")
    items = [strict_json.loads(line) for line in lines(filled, export)]
    records = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [list(each) for each in records] == [list(item) for item in items]
    for cells, item in zip(records, items, strict=True):
        for name, value in item.items():
            spelled = "" if value is None else strict_json.dumps(value).decode().strip('"')
            assert cells[name] == spelled


@every_export
def test_export_contains_only_rows_of_the_callers_list(filled: World, export: Operation) -> None:
    if export.of_item and export.is_private:
        filled.api.get(export.rule, by=filled.other, status=404)
        return
    who = {"by": filled.other, "status": 200}
    for accept, nothing in ((NDJSON, 0), (CSV, 1)):
        rows = filled.api.get(export.rule, headers={"Accept": accept}, **who).data.splitlines()
        seen = filled.api.get(list_of(export).rule, **who).json["items"]
        assert len(rows) - nothing == len(seen)
        assert seen == [] or not export.is_private


ACCEPTED = {
    "*/*": NDJSON,
    "application/*": NDJSON,
    "text/*": CSV,
    CSV: CSV,
    f"{CSV}, {NDJSON};q=0.5": CSV,
    f"{CSV};q=0.5, {NDJSON}": NDJSON,
    f"*/*, {NDJSON};q=0": CSV,
    "application/json": None,
    "text/html": None,
    f"{CSV};q=0": None,
    f"*/*, {NDJSON};q=0, {CSV};q=0": None,
}


@every_export
def test_export_media_type_follows_accept_header(
    world: World, export: Operation, subtests: pytest.Subtests
) -> None:
    for (accept, media_type), method in product(ACCEPTED.items(), ("GET", "HEAD")):
        with subtests.test(accept=accept, method=method):
            sent = {"by": world.writer(export), "headers": {"Accept": accept}}
            response = world.api.call(method, export.rule, **sent)
            assert response.status_code == (200 if media_type else 406)
            assert response.mimetype == (media_type or "application/problem+json")


@every_export
def test_export_is_an_attachment_that_is_not_cached(world: World, export: Operation) -> None:
    name = export.rule.split("/")[-2].replace("-", "_")
    for accept, suffix in ((NDJSON, "ndjson"), (CSV, "csv")):
        headers = {"Accept": accept}
        response = world.api.get(export.rule, by=world.writer(export), headers=headers, status=200)
        assert response.headers["Content-Disposition"] == f'attachment; filename="{name}.{suffix}"'
        assert response.headers["Cache-Control"] == "private, no-store"
        assert {"Accept", "Authorization"} <= set(response.headers["Vary"].split(", "))
        assert "Content-Length" not in response.headers


@every_export
def test_export_with_invalid_parameter_is_422_and_names_it(world: World, export: Operation) -> None:
    for query in ("limit=10", "cursor=x", "count=exact", "sort=x", "sort=&sort="):
        response = world.api.get(f"{export.rule}?{query}", by=world.writer(export), status=422)
        assert response.json["errors"][0]["parameter"] == query.partition("=")[0]


@every_export
def test_export_has_the_filters_of_the_list(export: Operation) -> None:
    pages_only = {"limit", "cursor", "count"}
    assert export.parameters.keys() == list_of(export).parameters.keys() - pages_only


@every_export
def test_export_executes_one_statement_and_head_none(
    filled: World, queries: Counter, export: Operation
) -> None:
    for method, reads in (("GET", 1), ("HEAD", 0)):
        with queries() as sent:
            filled.api.call(method, export.rule, by=filled.writer(export), status=200)
        assert len(sent) == reads + 1 + export.of_item, sent  # session and parent

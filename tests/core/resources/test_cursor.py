"""Cursors: every type that a sort key may have, and what a sort key may be."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Column, LargeBinary, MetaData, Table, Text

from app.core.openapi.operation import DeclarationError
from app.core.resources.cursor import PageCursor
from app.core.resources.filters import PageQuery, Sort
from app.core.resources.list_checks import check_query
from app.core.web.problems import Problem

ID = UUID("019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07")
KEYS = [
    "a word, \N{SNOWMAN}",
    "",
    7,
    -1,
    True,
    False,
    Decimal("12.50"),
    date(2026, 1, 31),
    datetime(2026, 1, 31, 12, 0, 0, 5, UTC),
    ID,
]
TABLE = Table(
    "shapes",
    MetaData(),
    Column("name", Text, nullable=False),
    Column("color", Text),
    Column("outline", LargeBinary, nullable=False),
)


@pytest.fixture(autouse=True)
def at_a_list(app: Flask) -> Iterator[None]:
    with app.test_request_context("/api/v1/shapes"):
        yield


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_a_cursor_keeps_value_and_type_of_the_sort_key(key: Any) -> None:
    cursor = PageCursor("-name", {"color": "red"}, True, key, ID)
    loaded = PageCursor.loads(cursor.dumps())
    assert loaded == cursor
    assert type(loaded.key) is type(key)


def test_a_cursor_of_another_list_is_refused(app: Flask) -> None:
    text = PageCursor("name", {}, False, "a", ID).dumps()
    with app.test_request_context("/api/v1/colors"), pytest.raises(Problem) as refusal:
        PageCursor.loads(text)
    assert refusal.value.kind.slug == "invalid-cursor"


def query(**fields: Any) -> PageQuery:
    return type("ShapeQuery", (PageQuery,), {"__module__": "shapes", **fields})()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "a sort is missing"),
        ({"color": "can be NULL"}, "the sort key color can be NULL"),
        ({"outline": "is a bytes"}, "the sort key outline is a bytes"),
    ],
)
def test_a_sort_that_has_no_cursors_is_refused_by_schema_and_key(
    fields: dict[str, str], problem: str
) -> None:
    keys = {name: TABLE.c[name] for name in fields}
    members = {"sort": Sort(keys, default=next(iter(keys)))} if keys else {}
    with pytest.raises(DeclarationError) as refusal:
        check_query(query(**members))
    assert str(refusal.value) == f"shapes.ShapeQuery: {problem}"


def test_a_sort_by_what_has_a_value_in_each_row_is_accepted() -> None:
    shapes = query(sort=Sort({"name": TABLE.c.name}, default="name"))
    assert check_query(shapes) is shapes

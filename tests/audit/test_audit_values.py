"""Values in the audit log: PostgreSQL and Python store the same, the resource shows them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Column, Table, Text, cast, literal, select

from app.audit.models import AuditEvent
from app.auth.models import ApiKey, Session
from app.auth.schemas import ApiKeySchema, SessionSchema
from app.core.database.ids import uuid7
from app.core.database.types import Money, Timestamp
from app.core.resources.audit_values import (
    recorded_columns,
    shown_change,
    sql_object,
    stored_values,
)
from app.core.schemas.base import Schema
from app.core.web.strict_json import dumps
from app.extensions import db
from app.jobs.models import Job
from app.jobs.schemas import JobSchema
from app.users.models import User
from app.users.schemas import UserSchema
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from tests import rows
from tests.api import Api, Caller
from tests.articles.models import Article
from tests.articles.schemas import ArticleSchema
from tests.conftest import on_postgresql
from tests.errands.models import PRIORITIES, Errand
from tests.errands.schemas import ErrandSchema

RESOURCES = [
    (ErrandSchema, Errand),
    (ArticleSchema, Article),
    (UserSchema, User),
    (ApiKeySchema, ApiKey),
    (SessionSchema, Session),
    # begin jobs
    (JobSchema, Job),
    # end jobs
    (NoteSchema, Note),
]


AMOUNTS = {"JPY": "1250", "EUR": "12.5", "KWD": "12.505", "CLF": "99999999999.9999"}


INSTANTS = [
    datetime(2030, 1, 31, 18, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2030, 7, 1, 0, 0, 0, 120, tzinfo=UTC),
]


PRODUCT = {"sku": "MUG-1", "name": "Mug", "category": "x", "price": "12.50", "currency": "EUR"}


def any_value(column: Any, chance: Random) -> Any:
    values = {
        UUID: [uuid7()],
        datetime: INSTANTS,
        int: [0, 2**31 - 1],
        bool: [True, False],
        str: ["", "ä\"\\'\n🔑", "%s %(x)s {}"],
        dict: [{"a": [1, None]}, {}],
        list: [["x", "y"], []],
        Decimal: [Decimal(0)],
    }
    if column.name == "priority":
        return chance.choice(PRIORITIES)
    if column.nullable and chance.random() < 0.3:
        return None
    if column.name in ("scopes", "methods"):
        return chance.choice(values[list])
    kind = dict if column.name in ("result", "arguments") else column.type.python_type
    return chance.choice(values[kind])


def any_row(model: Any, names: tuple[str, ...], chance: Random) -> dict[str, Any]:
    row = {name: any_value(model.__table__.c[name], chance) for name in names}
    if "price" in row:
        row["currency"] = chance.choice(list(AMOUNTS))
        row["price"] = Decimal(AMOUNTS[row["currency"]])
    return row


def in_json(value: Any) -> Any:
    return json.loads(dumps(value))


def with_instants(model: Any, stored: dict[str, Any]) -> dict[str, Any]:
    """Parse datetimes: one instant can be written in several ways."""
    instants = {c.name for c in model.__table__.c if c.name.endswith("_at")}
    return {
        name: datetime.fromisoformat(value) if value and name in instants else value
        for name, value in stored.items()
    }


@pytest.mark.parametrize(("shape", "model"), RESOURCES)
def test_stored_values_are_shown_as_the_resource_shows_them(
    app: Flask, shape: type[Schema], model: Any
) -> None:
    schema, chance = shape(), Random(model.__name__)
    names = schema.column_names
    with app.app_context():
        for _ in range(20):
            row = any_row(model, names, chance)
            stored = in_json(stored_values(model.__table__, dict(row)))
            _, shown = shown_change(model.__tablename__, None, stored)
            assert in_json(shown) == in_json(schema.row_to_dict([row[name] for name in names]))


@on_postgresql
@pytest.mark.parametrize(("shape", "model"), RESOURCES)
def test_postgresql_and_python_store_the_same_values(
    app: Flask, shape: type[Schema], model: Any
) -> None:
    names, chance = shape().column_names, Random(model.__name__)
    columns = [model.__table__.c[name] for name in names]
    with app.app_context():
        for _ in range(20):
            row = any_row(model, names, chance)
            values = [cast(literal(row[c.name], c.type), c.type).label(c.name) for c in columns]
            seen = select(*values).cte("seen")
            made = db.session.scalar(select(sql_object(seen.c, names)).select_from(seen))
            stored = in_json(stored_values(model.__table__, dict(row)))
            assert with_instants(model, made) == with_instants(model, stored)


def test_decimals_are_stored_with_all_digits_and_own_types_as_database_values(
    api: Api, app: Flask, editor: Caller, user: Caller
) -> None:
    article = PRODUCT | {"price": "98765432109.87"}
    path = api.post("articles", article, by=editor, status=201).headers["Location"]
    api.patch(path, {"price": "1.5"}, by=editor, status=200)
    errand = {"title": "x", "priority": "high"}
    api.post("errands", errand, by=user, status=201)
    [created] = rows.read(app, AuditEvent.after, resource="articles", action="create")
    [updated] = rows.read(app, AuditEvent.after, resource="articles", action="update")
    assert created["price"] == "98765432109.8700"
    assert updated == {"price": "1.5000", "currency": "EUR"}
    assert rows.read(app, AuditEvent.after, resource="errands")[0]["priority"] == 2


def test_update_records_an_amount_with_its_currency() -> None:
    schema = ArticleSchema()
    assert recorded_columns(schema, ("price",)) == ("price", "currency")
    assert recorded_columns(schema, ("currency", "name")) == ("name", "price", "currency")
    assert recorded_columns(schema, ("stock", "version", "updated_at")) == ("stock",)


def test_currency_change_shows_the_amount_with_other_decimals(
    api: Api, editor: Caller, admin: Caller
) -> None:
    created = api.post("articles", PRODUCT | {"price": "12"}, by=editor, status=201)
    api.patch(created.headers["Location"], {"currency": "JPY"}, by=editor, status=200)
    path = f"audit-events?action=update&resource_id={created.json['id']}"
    [event] = api.get(path, by=admin, status=200).json["items"]
    assert event["before"] == {"price": "12.00", "currency": "EUR"}
    assert event["after"] == {"price": "12", "currency": "JPY"}


@pytest.mark.parametrize(
    ("resource", "stored"),
    [
        ("articles", {"price": "12.50"}),
        ("errands", {"priority": "high", "due_at": None}),
        ("errands", {"renamed_since": 7}),
        ("sessions", {"owner_id": "0197a5d0-0000-7000-8000-000000000000"}),
        ("removed_since", {"title": "x"}),
    ],
)
def test_event_that_does_not_fit_its_schema_is_shown_as_stored(
    app: Flask, resource: str, stored: dict[str, Any]
) -> None:
    with app.app_context():
        assert shown_change(resource, dict(stored), None) == (stored, None)


def test_stored_datetime_of_any_time_zone_is_shown_in_utc(app: Flask) -> None:
    with app.app_context():
        _, shown = shown_change("errands", None, {"due_at": "2030-01-31T20:00:00+02:00"})
    assert in_json(shown) == {"due_at": "2030-01-31T18:00:00Z"}


def test_events_of_a_resource_without_a_list_are_shown_by_column_types(app: Flask) -> None:
    columns = Column("paid_at", Timestamp), Column("price", Money), Column("name", Text)
    table = Table("receipts", db.metadata, *columns)
    stored = {"paid_at": "2030-01-31T20:00:00.100000+02:00", "price": "12.5000", "name": "A"}
    try:
        with app.app_context():
            _, shown = shown_change("receipts", None, stored)
    finally:
        db.metadata.remove(table)
    assert in_json(shown) == stored | {"paid_at": "2030-01-31T18:00:00.100000Z"}

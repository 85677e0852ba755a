"""Members that PostgreSQL makes of a row are those that a dump makes of it."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import cast, literal, select, true

from app.auth.models import ApiKey, Session
from app.auth.schemas import ApiKeySchema, SessionSchema
from app.core.database.ids import uuid7
from app.core.resources.audit_log import build_change
from app.core.resources.json_sql import changed_columns_as_json, row_as_json
from app.core.schemas.base import Schema
from app.core.web.strict_json import dumps
from app.extensions import db
from app.jobs.models import Job
from app.jobs.schemas import JobSchema
from app.products.models import Product
from app.products.schemas import ProductSchema
from app.tasks.models import PRIORITIES, Task
from app.tasks.schemas import TaskSchema
from app.users.models import User
from app.users.schemas import UserSchema
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from tests.conftest import on_postgresql

pytestmark = on_postgresql
GIVEN = [
    (TaskSchema, Task),
    (ProductSchema, Product),
    (UserSchema, User),
    (ApiKeySchema, ApiKey),
    (SessionSchema, Session),
    (JobSchema, Job),
    (NoteSchema, Note),
]
AMOUNTS = {"JPY": "1250", "EUR": "12.5", "KWD": "12.505", "CLF": "99999999999.9999"}
INSTANTS = [
    datetime(2030, 1, 31, 18, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2030, 7, 1, 0, 0, 0, 120, tzinfo=UTC),
]


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
    kind = dict if column.name in ("result", "arguments") else column.type.python_type
    return chance.choice(values[list if column.name == "scopes" else kind])


def any_row(model: Any, names: list[str], chance: Random) -> dict[str, Any]:
    row = {name: any_value(model.__table__.c[name], chance) for name in names}
    if "price" in row:
        row["currency"] = chance.choice(list(AMOUNTS))
        row["price"] = Decimal(AMOUNTS[row["currency"]])
    return row


@pytest.mark.parametrize(("shape", "model"), GIVEN)
def test_all_of_a_row_and_what_differs(app: Flask, shape: type[Schema], model: Any) -> None:
    schema, chance = shape(), Random(model.__name__)
    names = list(schema.column_names)
    told_of = [name for name in names if name not in ("version", "updated_at")]
    columns = [model.__table__.c[name] for name in names]

    def as_row(row: dict[str, Any], name: str) -> Any:
        values = [cast(literal(row[c.name], c.type), c.type).label(c.name) for c in columns]
        return select(*values).cte(name)

    def dumped(row: dict[str, Any]) -> dict[str, Any]:
        return schema.row_to_dict([row[name] for name in names])

    rows = [any_row(model, names, chance) for _ in range(20)]
    with app.app_context():
        for one, other in pairwise([rows[0], *rows]):
            left, right = as_row(one, "one"), as_row(other, "other")
            made = db.session.execute(
                select(
                    row_as_json(schema, left.c),
                    changed_columns_as_json(schema, told_of, left.c, right.c),
                    changed_columns_as_json(schema, told_of, right.c, left.c),
                ).select_from(left.join(right, true()))
            ).one()
            told = build_change("update", "things", None, before=dumped(one), after=dumped(other))
            wanted = json.loads(dumps([dumped(one), told.before, told.after]))
            assert list(made) == wanted

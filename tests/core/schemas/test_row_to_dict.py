"""Rows are written as `Schema.dump` writes them, without its loop."""

from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import marshmallow as ma
import pytest
from flask import Flask
from sqlalchemy import select

from app.core.resources.filters import PageQuery
from app.core.schemas import fields
from app.core.schemas.base import Schema
from app.core.schemas.fields import (
    Boolean,
    Currency,
    DateTime,
    Email,
    Enum,
    Integer,
    MoneyAmount,
    String,
)
from app.core.schemas.serialisable import check_serialisable
from app.core.web import strict_json
from app.core.web.etags import etag_digest
from app.extensions import db
from app.users.models import User
from app.users.schemas import UserSchema
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from tests import rows
from tests.api import Caller
from tests.articles.models import Article
from tests.articles.schemas import ArticleSchema, PriceRangeSchema
from tests.errands.models import Errand
from tests.errands.schemas import ErrandSchema

WHOLE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

SPLIT = WHOLE.replace(microsecond=60)

ADA = {"email": "ada@example.com", "name": "Ada", "password_hash": "x"}

MUG = {"sku": "S", "name": "Ä", "category": "all", "stock": 3, "currency": "EUR"}

SAMPLES = {
    UserSchema: [(User, ADA | {"created_at": SPLIT})],
    ArticleSchema: [
        (Article, MUG | {"price": Decimal("12.50"), "description": "D"}),
        (Article, MUG | {"price": Decimal(7), "currency": "JPY", "is_active": False}),
        (Article, MUG | {"price": Decimal("0.125"), "currency": "KWD", "updated_at": WHOLE}),
    ],
    ErrandSchema: [
        (Errand, {"title": '"quoted"\u2028', "due_at": SPLIT, "priority": "high"}),
        (Errand, {"title": "Done", "done": True, "completed_at": WHOLE, "description": "Well."}),
    ],
    NoteSchema: [(Note, {"text": "Milk, bread"})],
}

# The value of a row for each class of field; the first matching class is used.
VALUES: dict[type[ma.fields.Field[Any]], Any] = {
    MoneyAmount: Decimal("7.5"),
    Currency: "KWD",
    String: "ä",
    Integer: 7,
    Boolean: True,
    DateTime: SPLIT,
    fields.UUID: UUID("01a1f7fe-8f50-7a21-ab70-405360359d28"),
    ma.fields.List: ["ä"],
    ma.fields.Dict: {"name": "ä"},
    fields.Date: date(2030, 1, 2),
    ma.fields.Nested: {"street": "ä"},
}


def sample(field: ma.fields.Field[Any]) -> Any:
    return next(value for kind, value in VALUES.items() if isinstance(field, kind))


def shapes(parent: type[Schema] = Schema) -> Iterator[type[Schema]]:
    """Every schema of the application whose members are columns: those without schemas inside."""
    for shape in parent.__subclasses__():
        yield from shapes(shape)
        members = shape().dump_fields.values()
        nested = any(isinstance(getattr(m, "inner", m), ma.fields.Nested) for m in members)
        if shape.__module__.startswith(("app.", "examples.")) and members and not nested:
            yield shape


# A schema that overrides `row_to_dict` returns other members on purpose.
EVERY_SHAPE = [
    shape
    for shape in dict.fromkeys(shapes())
    if not issubclass(shape, PageQuery) and shape.row_to_dict is Schema.row_to_dict
]


@pytest.mark.parametrize("shape", EVERY_SHAPE, ids=lambda shape: shape.__name__)
def test_row_to_dict_equals_dump_for_every_schema(shape: type[Schema]) -> None:
    schema = shape()
    values = [sample(schema.dump_fields[name]) for name in schema.column_names]
    row = namedtuple("Row", schema.column_names)(*values)
    assert strict_json.dumps(schema.row_to_dict(row)) == strict_json.dumps(
        schema.dump(row._asdict())
    )


@pytest.mark.parametrize(
    ("shape", "model", "values"),
    [(shape, *sample) for shape, samples in SAMPLES.items() for sample in samples],
)
def test_row_to_dict_equals_dump_for_rows_of_either_database(
    app: Flask, user: Caller, shape: type[Schema], model: Any, values: dict[str, Any]
) -> None:
    owner = {"owner_id": user.id} if hasattr(model, "owner_id") else {}
    row_id = rows.add(app, model, **values, **owner)
    schema = shape()
    with app.app_context():
        stored = db.session.get(model, row_id)
        row = db.session.execute(select(*schema.columns(model)).filter_by(id=row_id)).one()
        assert strict_json.dumps(schema.row_to_dict(row)) == strict_json.dumps(schema.dump(stored))


def test_dump_formats_amounts_without_a_column() -> None:
    schema = PriceRangeSchema()
    members = {
        "category": "kitchen",
        "currency": "KWD",
        "count": 2,
        "stock": 7,
        "price_min": Decimal("1.5"),
        "price_max": Decimal(20),
    }
    assert schema.dump(members)["price_min"] == "1.500"
    assert schema.dump(members)["price_max"] == "20.000"


class Address(Schema):
    """An object of a JSON column."""

    street = String(max_length=99)
    rent = MoneyAmount(currency="currency", allow_none=True)
    currency = Currency()
    since = DateTime(allow_none=True)
    door_code = String(max_length=9, load_only=True)


ROLES: dict[str, dict[str, Any]] = {
    "read-write": {},
    "read-only": {"dump_only": True},
    "write-only": {"load_only": True},
    "nullable": {"allow_none": True},
    "read-only and nullable": {"dump_only": True, "allow_none": True},
}

FIELDS: dict[str, Any] = {
    "String": lambda **role: String(max_length=9, **role),
    "Enum": lambda **role: Enum(["a", "b"], **role),
    "Email": lambda **role: Email(**role),
    "Currency": lambda **role: Currency(**role),
    "Integer": lambda **role: Integer(min=0, max=9, **role),
    "Boolean": lambda **role: Boolean(**role),
    "DateTime": lambda **role: DateTime(**role),
    "MoneyAmount": lambda **role: MoneyAmount(currency="code", **role),
    "MoneyAmount without currency": lambda **role: MoneyAmount(**role),
    "UUID": lambda **role: fields.UUID(**role),
    "Date": lambda **role: fields.Date(**role),
    "Dict": lambda **role: ma.fields.Dict(**role),
    "List": lambda **role: ma.fields.List(String(max_length=9), **role),
    "Nested": lambda **role: ma.fields.Nested(Address, **role),
    "List of Nested": lambda **role: ma.fields.List(ma.fields.Nested(Address), **role),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("field", FIELDS)
class TestEveryFieldInEveryRole:
    def make(self, field: str, role: str) -> Schema:
        members = {"code": Currency(allow_none=True), "member": FIELDS[field](**ROLES[role])}
        schema = Schema.from_dict(members, name=f"{field}Schema")()
        assert isinstance(schema, Schema)
        return check_serialisable(schema)

    def test_row_to_dict_equals_dump(self, field: str, role: str) -> None:
        schema = self.make(field, role)
        assert ("member" in schema.column_names) == (role != "write-only")
        member = schema.fields["member"]
        for value in (None, [] if "List" in field else sample(member)):
            row = {"code": "KWD", "member": value}
            made = schema.row_to_dict([row[name] for name in schema.column_names])
            assert strict_json.dumps(made) == strict_json.dumps(schema.dump(row))

    def test_etag_digest_covers_the_member(self, field: str, role: str) -> None:
        schema = self.make(field, role)
        row = {"code": "KWD", "member": sample(schema.fields["member"])}
        other = row | {"member": None}
        digests = {
            etag_digest(schema, [[values[name] for name in schema.column_names]])
            for values in (row, other)
        }
        assert len(digests) == (1 if role == "write-only" else 2)


class TestNestedObjects:
    """A JSON column returns what it stored: numbers or strings, and write-only members."""

    stored = {
        "street": "Main St",
        "rent": "7",
        "currency": "KWD",
        "since": "2030-01-02T03:04:05Z",
        "door_code": "1234",
    }
    expected = {
        "street": "Main St",
        "rent": "7.000",
        "currency": "KWD",
        "since": "2030-01-02T03:04:05Z",
    }

    @pytest.mark.parametrize("rent", ["7", 7, 7.0, Decimal(7)])
    def test_nested_object_is_returned_without_write_only_members(self, rent: Any) -> None:
        schema = Schema.from_dict(
            {"home": ma.fields.Nested(Address), "others": ma.fields.List(ma.fields.Nested(Address))}
        )()
        assert isinstance(schema, Schema)
        stored = self.stored | {"rent": rent}
        members = schema.row_to_dict([stored, [stored, {"rent": None}, {}]])
        assert members == {"home": self.expected, "others": [self.expected, {"rent": None}, {}]}
        assert stored["door_code"] == "1234"

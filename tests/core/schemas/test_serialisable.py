"""Serialising rows: `row_to_dict` gives what `dump` gives, or the service does not start."""

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

from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import PageQuery, Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas import fields
from app.core.schemas.base import ResourceSchema, Schema
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
from app.core.security.authorization import current_caller, public
from app.core.web import strict_json
from app.core.web.etags import etag_digest
from app.extensions import db
from app.products.models import Product
from app.products.schemas import CategorySchema, ProductSchema
from app.tasks.models import Task
from app.tasks.schemas import TaskSchema
from app.users.models import User
from app.users.schemas import UserSchema
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from tests import rows
from tests.api import Api, Caller
from tests.conftest import MakeApp

WHOLE = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


SPLIT = WHOLE.replace(microsecond=60)


ADA = {"email": "ada@example.com", "name": "Ada", "password_hash": "x"}


MUG = {"sku": "S", "name": "Ä", "category": "all", "stock": 3, "currency": "EUR"}


SAMPLES = {
    UserSchema: [(User, ADA | {"created_at": SPLIT})],
    ProductSchema: [
        (Product, MUG | {"price": Decimal("12.50"), "description": "D"}),
        (Product, MUG | {"price": Decimal(7), "currency": "JPY", "is_active": False}),
        (Product, MUG | {"price": Decimal("0.125"), "currency": "KWD", "updated_at": WHOLE}),
    ],
    TaskSchema: [
        (Task, {"title": '"quoted"\u2028', "due_at": SPLIT, "priority": "high"}),
        (Task, {"title": "Done", "done": True, "completed_at": WHOLE, "description": "Well."}),
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
    schema = CategorySchema()
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


class WithPostDump(Schema):
    name = String(max_length=9)

    @ma.post_dump
    def shout(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"name": f"{data['name']}!"}


class WithPreDump(Schema):
    name = String(max_length=9)

    @ma.pre_dump
    def greet(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return data | {"name": "Hello"}


class Upper(String):
    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return value and value.upper()


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (String(max_length=9, data_key="otherName"), "data_key and attribute do not work here"),
        (String(max_length=9, attribute="column"), "data_key and attribute do not work here"),
        (ma.fields.Method("dump"), "fields of class Method cannot be serialised"),
        (ma.fields.Function(str), "fields of class Function cannot be serialised"),
        (ma.fields.Raw(), "fields of class Raw cannot be serialised"),
        (ma.fields.Decimal(), "fields of class Decimal cannot be serialised"),
        (ma.fields.List(ma.fields.Decimal()), "fields of class Decimal cannot be serialised"),
        (ma.fields.List(MoneyAmount()), "fields of class MoneyAmount cannot be serialised"),
        (ma.fields.Pluck(Address, "street"), "only Nested"),
        (MoneyAmount(currency="code"), "its currency 'code' is not a member"),
        (ma.fields.Integer(), "fields of class Integer cannot be serialised"),
        (ma.fields.String(), "fields of class String cannot be serialised"),
        (Integer(min=0, max=9, as_string=True), "dump returns something else"),
        (Upper(max_length=9), "dump returns something else"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ma.fields.Field) else None,
)
def test_member_that_rows_cannot_serialise_stops_the_start(
    field: ma.fields.Field[Any], reason: str
) -> None:
    schema = Schema.from_dict({"id": fields.UUID(), "member": field}, name="OddSchema")()
    assert isinstance(schema, Schema)
    with pytest.raises(RuntimeError) as refused:
        check_serialisable(schema)
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{type(schema).__module__}.OddSchema.member: {reason}")


@pytest.mark.parametrize("schema", [WithPreDump, WithPostDump])
def test_dump_hook_stops_the_start(schema: type[Schema]) -> None:
    with pytest.raises(RuntimeError, match=rf"{schema.__name__}\.name: dump returns something"):
        check_serialisable(schema())


def test_nested_member_that_rows_cannot_serialise_stops_the_start() -> None:
    class Inner(Schema):
        price = ma.fields.Decimal()

    schema = Schema.from_dict({"inner": ma.fields.Nested(Inner)})()
    assert isinstance(schema, Schema)
    with pytest.raises(RuntimeError, match=r"Inner\.price: fields of class Decimal"):
        check_serialisable(schema)


@pytest.mark.parametrize("kind", ["returns", "paginated", "exports", "batch", "creates", "updates"])
def test_every_decorator_that_serialises_rows_checks_its_schema(kind: str) -> None:
    class Query(PageQuery):
        sort = Sort({"created_at": Product.created_at}, default="created_at")

    odd = Blueprint("odd", __name__, url_prefix="/odd")
    arguments = [Query] if kind in ("paginated", "exports") else []
    with pytest.raises(RuntimeError, match=r"WithPostDump\.name: "):
        getattr(odd, kind)(WithPostDump, *arguments)


class PriceTagSchema(ResourceSchema):
    """A resource whose amount only the server changes."""

    price = MoneyAmount(currency="currency", dump_only=True, metadata={"example": "1.50"})
    currency = Currency(dump_only=True)


class PriceTagQuery(PageQuery):
    sort = Sort({"created_at": Product.created_at}, default="created_at")


def test_list_with_a_read_only_amount_is_returned(app: Flask, make_app: MakeApp) -> None:
    tags = Blueprint("tags", __name__, url_prefix="/tags", description="Tests amounts.")

    @tags.get("", access=public)
    @tags.paginated(PriceTagSchema, PriceTagQuery)
    def list_tags() -> ScopedSelect:
        """List the price tags."""
        return Product.visible_to(current_caller)

    row_id = rows.add(app, Product, **MUG | {"price": Decimal(7)})
    service = Api(make_app(tags))

    page = service.get("tags", status=200)

    assert [(tag["price"], tag["currency"]) for tag in page.json["items"]] == [("7.00", "EUR")]
    held = {"If-None-Match": page.headers["ETag"]}
    service.get("tags", headers=held, status=304)
    rows.change(app, Product, row_id, price=Decimal(8))
    assert service.get("tags", headers=held, status=200).json["items"][0]["price"] == "8.00"

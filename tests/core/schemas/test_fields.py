"""Fields and schemas: what is let in, and that the fast way out says what the slow one says."""

import copy
from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import marshmallow as ma
import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from sqlalchemy import select

from app.core.resources.filters import PageQuery
from app.core.schemas.base import Schema
from app.core.schemas.currencies import CURRENCY_SCALES
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
from app.core.web import strict_json
from app.extensions import db
from app.products.models import Product
from app.products.schemas import CategorySchema, ProductQuery, ProductSchema
from app.tasks.models import Task
from app.tasks.schemas import TaskSchema
from app.users.models import User
from app.users.schemas import UserSchema
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from tests import rows
from tests.api import Caller

DOCUMENT = strict_json.loads((Path(__file__).parents[3] / "openapi.json").read_bytes())

MUG = {"sku": "M", "name": "M", "category": "M", "price": "1", "currency": "EUR"}
NAN, INFINITY = float("nan"), float("inf")


class TestText:
    @pytest.mark.parametrize("value", ["", "x", "ab\tc\n", "🔑" * 5, "\u202e", "x" * 5])
    def test_takes_any_characters_up_to_its_length(self, value: str) -> None:
        assert String(max_length=5).deserialize(value) == value

    @pytest.mark.parametrize("value", ["x" * 6, "🔑" * 6, "a\0b", "\0", 7, True, b"x", ["x"], None])
    def test_refuses_more_nul_and_other_types(self, value: Any) -> None:
        with pytest.raises(ma.ValidationError):
            String(max_length=5).deserialize(value)

    def test_may_ask_for_a_least_length(self) -> None:
        with pytest.raises(ma.ValidationError, match="between 1 and 5"):
            String(min_length=1, max_length=5).deserialize("")


class TestChoice:
    def test_takes_its_own_words_only(self) -> None:
        colour = Enum(["red", "green"])

        assert colour.deserialize("red") == "red"
        for other in ("RED", "blue", "", "red ", 0, None, ["red"]):
            with pytest.raises(ma.ValidationError):
                colour.deserialize(other)


class TestInteger:
    field = Integer(min=-5, max=5)

    @pytest.mark.parametrize(("value", "taken"), [(0, 0), (5, 5), (-5, -5), (3.0, 3), (-0.0, 0)])
    def test_takes_numbers_without_fraction(self, value: float, taken: int) -> None:
        loaded = self.field.deserialize(value)

        assert (loaded, type(loaded)) == (taken, int)

    @pytest.mark.parametrize(
        "value", [6, -6, 1.5, 10**40, 1e300, True, False, "1", "", None, [1], NAN, INFINITY]
    )
    def test_refuses_everything_else(self, value: Any) -> None:
        with pytest.raises(ma.ValidationError):
            self.field.deserialize(value)

    @pytest.mark.parametrize(("text", "value"), [("1", 1), ("-1", -1), ("007", 7), ("0", 0)])
    def test_reads_plain_digits_from_a_query(self, text: str, value: int) -> None:
        assert self.field.parse_query_value(text) == value

    @pytest.mark.parametrize(
        "text", ["1_0", " 1", "1 ", "1\n", "+1", "--1", "1.0", "1e3", "0x1", "\u0661", "", "9" * 19]
    )
    def test_leaves_anything_else_in_a_query_to_be_refused(self, text: str) -> None:
        assert self.field.parse_query_value(text) == text


class TestBoolean:
    field = Boolean()

    @pytest.mark.parametrize("value", [True, False])
    def test_takes_true_and_false(self, value: bool) -> None:
        assert self.field.deserialize(value) is value

    @pytest.mark.parametrize("value", [0, 1, "true", "false", "yes", "", None, [], 1.0])
    def test_refuses_what_only_looks_like_them(self, value: Any) -> None:
        with pytest.raises(ma.ValidationError):
            self.field.deserialize(value)

    @pytest.mark.parametrize("text", ["1", "0", "True", "FALSE", "yes", "on", ""])
    def test_reads_only_the_two_words_from_a_query(self, text: str) -> None:
        assert (self.field.parse_query_value("true"), self.field.parse_query_value("false")) == (
            True,
            False,
        )
        assert self.field.parse_query_value(text) == text


class TestTimestamp:
    """What comes in is tabled in `test_tasks.TestDueAt`."""

    @pytest.mark.parametrize(
        ("instant", "text"),
        [
            (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "2030-01-02T03:04:05Z"),
            (datetime(2030, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2030-01-02T03:04:05.000006Z"),
            (
                datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
                "2030-01-02T01:04:05Z",
            ),
            (None, None),
        ],
    )
    def test_is_given_out_in_utc_with_z(self, instant: datetime | None, text: str | None) -> None:
        assert DateTime().serialize("at", {"at": instant}) == text

    def test_is_taken_in_as_utc(self) -> None:
        taken = DateTime().deserialize("2030-01-02T03:04:05+02:00")

        assert taken.isoformat() == "2030-01-02T01:04:05+00:00"


class TestEmail:
    """What is refused is tabled in `test_users.TestTheEmailAddress`."""

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("Ada@Example.COM", "ada@example.com"),
            ("ada+tag.x_y@mail.example.co.uk", "ada+tag.x_y@mail.example.co.uk"),
            ("o'hara@example.com", "o'hara@example.com"),
            ("ÄDA@example.com", "äda@example.com"),
            ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        ],
    )
    def test_is_kept_in_lower_case(self, given: str, kept: str) -> None:
        assert Email().deserialize(given) == kept


class TestAmount:
    """What comes in is tabled in `test_products.TestMoney`."""

    def test_loads_to_an_exact_decimal(self) -> None:
        ten, twenty = (MoneyAmount().deserialize(text) for text in ("0.10", "0.20"))

        assert ten + twenty == Decimal("0.30")

    def test_without_a_currency_has_up_to_four_decimals(self) -> None:
        assert MoneyAmount().deserialize("1.2345") == Decimal("1.2345")
        assert MoneyAmount().serialize("price", {"price": Decimal(1)}) == "1.0000"

    @pytest.mark.parametrize("code", sorted(CURRENCY_SCALES))
    def test_is_given_out_with_the_decimals_of_its_currency(self, code: str) -> None:
        row = {"price": Decimal(7), "currency": code}
        text = MoneyAmount(currency="currency").serialize("price", row)

        assert len(text.partition(".")[2]) == CURRENCY_SCALES[code]
        assert MoneyAmount(currency="currency").deserialize(text, "price", row) == 7

    @pytest.mark.parametrize("code", ["JPY", "EUR", "KWD"])
    def test_of_one_decimal_more_is_refused(self, code: str) -> None:
        text = "7." + "1" * (CURRENCY_SCALES[code] + 1)
        with pytest.raises(ma.ValidationError, match=code):
            MoneyAmount(currency="currency").deserialize(text, "price", {"currency": code})

    @pytest.mark.parametrize("code", sorted(CURRENCY_SCALES))
    def test_has_its_scale_in_the_document(self, code: str) -> None:
        documented = Draft202012Validator(DOCUMENT["components"]["schemas"]["ProductChange"])
        for decimals in range(6):
            price = "7" + ("." + "1" * decimals if decimals else "")
            valid = documented.is_valid({"price": price, "currency": code})
            assert valid == (decimals <= CURRENCY_SCALES[code])
            assert documented.is_valid({"price": price}) == (decimals <= 4)

    @pytest.mark.parametrize("siblings", [None, {}, {"currency": "XXX"}, {"currency": ["EUR"]}])
    def test_leaves_a_wrong_currency_to_the_currencys_own_field(self, siblings: Any) -> None:
        amount = MoneyAmount(currency="currency").deserialize("1.2345", "price", siblings)

        assert amount == Decimal("1.2345")


class TestCurrency:
    def test_is_an_iso_4217_code_in_capitals(self) -> None:
        assert Currency().deserialize("EUR") == "EUR"
        for wrong in ("eur", "XXX", "EU", "EURO", "", None, 978):
            with pytest.raises(ma.ValidationError):
                Currency().deserialize(wrong)

    def test_has_every_code_once_and_in_shape(self) -> None:
        assert all(len(code) == 3 and code.isupper() for code in CURRENCY_SCALES)
        assert set(CURRENCY_SCALES.values()) == {0, 2, 3, 4}


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


# A value as a row holds it, for each kind of field; the first kind that fits counts.
VALUES: dict[type[ma.fields.Field[Any]], Any] = {
    MoneyAmount: Decimal("7.5"),
    Currency: "KWD",
    String: "ä",
    Integer: 7,
    Boolean: True,
    DateTime: SPLIT,
    ma.fields.UUID: UUID("01a1f7fe-8f50-7a21-ab70-405360359d28"),
    ma.fields.List: ["ä"],
    ma.fields.Dict: {"name": "ä"},
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


EVERY_SHAPE = [shape for shape in dict.fromkeys(shapes()) if not issubclass(shape, PageQuery)]


ANYTHING = [
    None, True, False, 0, 1, -1, 7, 1.0, 1.5, 2**31, 2**63, NAN, INFINITY, "", "x", "ä" * 201,
    "x" * 6000, "a\0b", "1", "1.50", "1.505", "1.5055", "-1", "01", "1e3", "EUR", "JPY", "KWD",
    "eur", "low", "high", "2030-01-31T18:00:00Z", "2030-01-31T18:00:00", "2030-02-30T18:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "a@example.com", "A@Example.com", "a@b", [], ["x"], {}, {"x": 1},
]  # fmt: skip


def objects(schema: Schema, chance: Random) -> Iterator[Any]:
    """What somebody might send: mostly each member right, now and then anything, or one more."""
    yield from (None, [], "x", {})
    fine = {name: [] for name in schema.load_fields}
    for name, field in schema.load_fields.items():
        for value in ANYTHING:
            with suppress(ma.ValidationError):
                field.deserialize(value, name, {"currency": "KWD"})
                fine[name].append(value)
    for _ in range(300):
        names = [name for name in fine if chance.random() < 0.9]
        made = {name: chance.choice(fine[name] or ANYTHING) for name in names}
        if chance.random() < 0.3:
            made[chance.choice([*fine, "id", "unknown"])] = chance.choice(ANYTHING)
        yield made


def every_schema(parent: type[Schema] = Schema) -> Iterator[type[Schema]]:
    for each in parent.__subclasses__():
        yield from every_schema(each)
        if each.__module__.startswith(("app.", "examples.")):
            yield each


class TestLoadingQuickly:
    @pytest.mark.parametrize("partial", [False, True])
    @pytest.mark.parametrize("shape", list(dict.fromkeys(every_schema())))
    def test_gives_what_loading_gives_or_nothing(
        self, app: Flask, shape: type[Schema], partial: bool
    ) -> None:
        schema = shape(partial=partial)
        with app.app_context():
            for sent in objects(schema, Random(shape.__name__)):
                found = schema.load_fast(copy.deepcopy(sent))
                if found is not None:
                    assert repr(found) == repr(schema.load(sent)), sent

    @pytest.mark.parametrize(
        ("shape", "sent"),
        [
            (TaskSchema, {"title": "T", "done": False, "due_at": "2030-01-31T18:00:00Z"}),
            (TaskSchema, {"title": "T", "description": None, "priority": "high"}),
            (ProductSchema, MUG | {"stock": 3, "is_active": True, "price": "12.50"}),
            (ProductQuery, {"category": "kitchen", "sort": "-price", "cursor": "abc"}),
        ],
    )
    def test_is_done_where_all_is_plainly_right(self, shape: type[Schema], sent: Any) -> None:
        assert shape().load_fast(sent) == shape().load(sent)


class TestDumpingARow:
    @pytest.mark.parametrize("shape", EVERY_SHAPE, ids=lambda shape: shape.__name__)
    def test_gives_the_json_that_dumping_gives_for_every_schema(self, shape: type[Schema]) -> None:
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
    def test_gives_it_for_rows_of_either_database(
        self, app: Flask, user: Caller, shape: type[Schema], model: Any, values: dict[str, Any]
    ) -> None:
        owner = {"owner_id": user.id} if hasattr(model, "owner_id") else {}
        row_id = rows.add(app, model, **values, **owner)
        schema = shape()

        with app.app_context():
            stored = db.session.get(model, row_id)
            row = db.session.execute(select(*schema.columns(model)).filter_by(id=row_id)).one()

            assert strict_json.dumps(schema.row_to_dict(row)) == strict_json.dumps(
                schema.dump(stored)
            )

    def test_gives_money_that_has_no_column_of_its_own_as_well(self) -> None:
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

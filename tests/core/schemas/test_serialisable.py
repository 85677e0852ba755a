"""Schemas that rows cannot serialise stop the start."""

from decimal import Decimal
from typing import Any

import marshmallow as ma
import pytest
from flask import Flask

from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas import fields
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import (
    Currency,
    Integer,
    MoneyAmount,
    String,
)
from app.core.schemas.serialisable import check_serialisable
from app.core.security.authorization import current_caller, public
from tests import rows
from tests.api import Api
from tests.articles.models import Article
from tests.conftest import MakeApp
from tests.core.schemas.test_row_to_dict import MUG, Address

BY_CREATION = Sort({"created_at": Article.created_at}, default="created_at")


class WithPostDumpSchema(Schema):
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


@pytest.mark.parametrize("schema", [WithPreDump, WithPostDumpSchema])
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
    odd = Blueprint("odd", __name__, url_prefix="/odd")
    arguments = [BY_CREATION] if kind in ("paginated", "exports") else []
    with pytest.raises(RuntimeError, match=r"WithPostDumpSchema\.name: "):
        getattr(odd, kind)(WithPostDumpSchema, *arguments)


class PriceTagSchema(ResourceSchema):
    """A resource whose amount only the server changes."""

    price = MoneyAmount(currency="currency", dump_only=True, metadata={"example": "1.50"})
    currency = Currency(dump_only=True)


def test_list_with_a_read_only_amount_is_returned(app: Flask, make_app: MakeApp) -> None:
    tags = Blueprint("tags", __name__, url_prefix="/tags", description="Tests amounts.")

    @tags.get("", access=public)
    @tags.paginated(PriceTagSchema, BY_CREATION)
    def list_tags() -> ScopedSelect:
        """List the price tags."""
        return Article.visible_to(current_caller)

    row_id = rows.add(app, Article, **MUG | {"price": Decimal(7)})
    service = Api(make_app(tags))

    page = service.get("tags", status=200)

    assert [(tag["price"], tag["currency"]) for tag in page.json["items"]] == [("7.00", "EUR")]
    held = {"If-None-Match": page.headers["ETag"]}
    service.get("tags", headers=held, status=304)
    rows.change(app, Article, row_id, price=Decimal(8))
    assert service.get("tags", headers=held, status=200).json["items"][0]["price"] == "8.00"

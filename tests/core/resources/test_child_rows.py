"""Child rows: lists of objects that are rows of another table."""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

import marshmallow as ma
import pytest
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Text, UniqueConstraint, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import OwnedMixin
from app.core.database.types import Money, Timestamp
from app.core.openapi.operation import DeclarationError
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.child_rows import Rows
from app.core.resources.filters import PageQuery, Sort
from app.core.resources.references import Reference
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas import fields
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Boolean, Currency, DateTime, Integer, MoneyAmount, String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp, statements
from tests.features import own_metadata, own_tables


class OwnBase(Base):
    """Tables of this module."""

    __abstract__ = True
    metadata = own_metadata()


class Order(OwnedMixin, OwnBase):
    """An order."""

    __tablename__ = "orders"

    title: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal | None] = mapped_column(Money)
    currency: Mapped[str | None] = mapped_column(Text)
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    items: ClassVar[Any] = ()


class OrderItem(OwnBase):
    """An item of an order."""

    __tablename__ = "order_items"
    __table_args__ = (
        CheckConstraint(
            "quantity <= 5",
            name="quantity",
            info={"problem": "validation-error", "field": "quantity", "detail": "At most 5."},
        ),
        UniqueConstraint(
            "order_id", "name", info={"field": "name", "detail": "Is in the order already."}
        ),
    )

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7)
    order_id: Mapped[UUID] = mapped_column(ForeignKey(Order.id, ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int] = mapped_column(default=1)
    price: Mapped[Decimal | None] = mapped_column(Money)
    currency: Mapped[str | None] = mapped_column(Text)
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    is_gift: Mapped[bool] = mapped_column(default=False)
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    before_id: Mapped[UUID | None] = mapped_column(ForeignKey(Order.id))


class OrderItemSchema(Schema):
    """An item of an order."""

    id = fields.UUID(dump_only=True)
    name = String(max_length=20, required=True, metadata={"example": "A"})
    quantity = Integer(min=1, max=100, metadata={"example": 1})
    price = MoneyAmount(currency="currency", allow_none=True, metadata={"example": "1.50"})
    currency = Currency(allow_none=True)
    due_at = DateTime(allow_none=True)
    is_gift = Boolean()
    data = ma.fields.Dict(allow_none=True, metadata={"example": {}})
    before_id = Reference(Order, allow_none=True)


class OrderSchema(ResourceSchema):
    """An order."""

    title = String(max_length=20, required=True, metadata={"example": "A"})
    price = MoneyAmount(currency="currency", allow_none=True, metadata={"example": "1.50"})
    currency = Currency(allow_none=True)
    due_at = DateTime(allow_none=True)
    items = Rows(OrderItemSchema, OrderItem.order_id, max_length=10)


class OrderQuery(PageQuery):
    """The list of orders."""

    sort = Sort({"created_at": Order.created_at}, default="created_at")


orders = Blueprint("orders", __name__, url_prefix="/orders")


@orders.get("", access=authenticated)
@orders.paginated(OrderSchema, OrderQuery)
def list_orders() -> ScopedSelect:
    """List orders."""
    return Order.visible_to(current_caller)


@orders.post("", access=authenticated)
@orders.body(OrderSchema)
@orders.creates(OrderSchema)
def create_order(data: dict[str, Any]) -> Order:
    """Create an order."""
    return Order(owner_id=current_caller.id, **data)


@orders.get("/export", access=authenticated)
@orders.exports(OrderSchema, OrderQuery)
def export_orders() -> ScopedSelect:
    """Export orders."""
    return Order.visible_to(current_caller)


@orders.get("/<uuid:order_id>", access=authenticated)
@orders.returns(OrderSchema)
def read_order(order_id: UUID) -> ScopedSelect:
    """Read an order."""
    return Order.visible_to(current_caller)


@orders.patch("/<uuid:order_id>", access=authenticated)
@orders.body(OrderSchema, partial=True)
@orders.updates(OrderSchema)
def update_order(data: dict[str, Any], order_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change an order."""
    return Order.visible_to(current_caller), data


@orders.delete("/<uuid:order_id>", access=authenticated)
@orders.deletes(OrderSchema)
def delete_order(order_id: UUID) -> ScopedSelect:
    """Delete an order."""
    return Order.visible_to(current_caller)


@orders.post("/batch", access=authenticated)
@orders.batch(OrderSchema)
def batch_orders(data: dict[str, Any]) -> Batch:
    """Create, change and delete orders."""
    return Batch(data["items"], create_order, update_order, delete_order)


ITEMS = [
    {
        "name": "b",
        "quantity": 2,
        "price": "12.50",
        "currency": "EUR",
        "due_at": "2030-01-01T01:00:00.12+01:00",
        "is_gift": True,
        "data": {"a": [1, None]},
    },
    {"name": "a", "price": "99999999999.125", "currency": "KWD"},
    {"name": 'ä"\\\n🔑', "price": "1250", "currency": "JPY", "due_at": "1999-12-31T23:59:59Z"},
]


@pytest.fixture
def shop(make_app: MakeApp) -> Iterator[Api]:
    """An application with orders."""
    app = make_app(orders)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


def create(shop: Api, by: Caller, items: Any = ITEMS, **members: Any) -> str:
    body = {"title": "O", "items": items, **members}
    return str(shop.post("orders", body, by=by, status=201).headers["Location"])


def names(order: Any) -> list[str]:
    return [item["name"] for item in order["items"]]


def test_children_are_returned_in_order_wherever_the_row_is(shop: Api, user: Caller) -> None:
    created = shop.post("orders", {"title": "O", "items": ITEMS}, by=user, status=201)
    assert names(created.json) == [item["name"] for item in ITEMS]
    path = created.headers["Location"]
    read = shop.get(path, by=user, status=200)
    assert read.data == created.data
    page = shop.get("orders", by=user, status=200).json
    assert page["items"] == [created.json]
    ndjson = {"Accept": "application/x-ndjson"}
    assert json.loads(shop.get("orders/export", by=user, headers=ndjson).data) == created.json
    as_csv = shop.get("orders/export", by=user, headers={"Accept": "text/csv"}, status=200).text
    assert '"[{""id"":""' in as_csv
    items = {"items": [{"op": "create", "value": {"title": "O", "items": ITEMS}}]}
    done = shop.post("orders/batch", items, by=user, status=200).json["items"][0]["value"]
    assert names(done) == names(created.json)
    assert create(shop, user, items=[])
    assert shop.post("orders", {"title": "O"}, by=user, status=201).json["items"] == []


@pytest.mark.parametrize("item", ITEMS)
def test_values_of_a_child_are_written_as_those_of_its_parent(
    shop: Api, user: Caller, item: dict[str, Any]
) -> None:
    same = {name: item.get(name) for name in ("price", "currency", "due_at")}
    path = create(shop, user, items=[item], **same)
    order = shop.get(path, by=user).json
    assert {name: order["items"][0][name] for name in same} == {name: order[name] for name in same}
    assert order["items"][0]["is_gift"] is item.get("is_gift", False)
    assert order["items"][0]["data"] == item.get("data")
    assert order["items"][0]["quantity"] == item.get("quantity", 1)
    assert str(UUID(order["items"][0]["id"])) == order["items"][0]["id"]


def test_patch_replaces_the_list_and_raises_the_version(shop: Api, user: Caller) -> None:
    path = create(shop, user)
    etag = shop.get(path, by=user).headers["ETag"]
    changed = shop.patch(path, {"items": [{"name": "new"}]}, by=user, etag=etag, status=200)
    assert names(changed.json) == ["new"]
    assert changed.json["version"] == 2
    shop.patch(path, {"items": []}, by=user, etag=etag, status=412)
    assert shop.get(path, by=user).data == changed.data
    assert rows.count(shop.app, OrderItem) == 1
    other = shop.patch(path, {"title": "P"}, by=user, status=200)
    assert names(other.json) == ["new"]
    assert shop.patch(path, {"items": []}, by=user, status=200).json["items"] == []


REFUSED = [
    ({"quantity": 9}, 422, "quantity"),
    ({"name": "x"}, 409, "name"),
    ({"quantity": "9"}, 422, "quantity"),
    ({"before_id": str(uuid4())}, 422, "before_id"),
]


@pytest.mark.parametrize(("wrong", "status", "member"), REFUSED)
def test_child_that_is_refused_is_named_and_nothing_is_written(
    shop: Api, user: Caller, wrong: dict[str, Any], status: int, member: str
) -> None:
    path = create(shop, user)
    before = shop.get(path, by=user).data
    items = [{"name": "x"}, {"name": "y", "quantity": 5}, {"name": "z"} | wrong]
    place = f"#/items/2/{member}"
    body = {"title": "O", "items": items}
    for key in ({}, {"Idempotency-Key": "k-1"}):
        refused = shop.post("orders", body, by=user, headers=key, status=status)
        assert error_locations(refused) == {place}
    assert error_locations(shop.patch(path, {"items": items}, by=user, status=status)) == {place}
    batch = {"items": [{"op": "create", "value": body}]}
    failed = shop.post("orders/batch", batch, by=user, status=422)
    assert error_locations(failed) == {place.replace("#", "#/items/0/value")}
    assert shop.get(path, by=user).data == before
    assert rows.count(shop.app, Order) == 1


def test_too_many_children_are_422(shop: Api, user: Caller) -> None:
    items = [{"name": str(n)} for n in range(11)]
    refused = shop.post("orders", {"title": "O", "items": items}, by=user, status=422)
    assert error_locations(refused) == {"#/items"}


def test_audit_events_include_the_children(shop: Api, user: Caller, admin: Caller) -> None:
    path = create(shop, user)
    created = shop.get(path, by=user).json
    changed = shop.patch(path, {"items": [{"name": "new"}]}, by=user).json
    shop.delete(path, by=user, status=204)
    query = f"audit-events?resource_id={created['id']}&sort=created_at"
    events = shop.get(query, by=admin, status=200).json["items"]
    assert [event["action"] for event in events] == ["create", "update", "delete"]
    assert events[0]["after"] == created
    assert events[1]["before"] == {"items": created["items"]}
    assert events[1]["after"] == {"items": changed["items"]}
    assert events[2]["before"] == changed
    assert rows.count(shop.app, OrderItem) == 0


def test_batch_changes_and_deletes_children(shop: Api, user: Caller) -> None:
    first, second = (create(shop, user).rpartition("/")[2] for _ in range(2))
    items = [
        {"op": "update", "id": first, "if_match": "*", "value": {"items": [{"name": "n"}]}},
        {"op": "delete", "id": second, "if_match": "*"},
    ]
    done = shop.post("orders/batch", {"items": items}, by=user, status=200).json["items"]
    assert names(done[0]["value"]) == ["n"]
    assert rows.count(shop.app, OrderItem) == 1


def test_item_and_list_are_one_statement(shop: Api, user: Caller) -> None:
    path = create(shop, user)
    for url in (path, "orders"):
        etag = shop.get(url, by=user, status=200).headers["ETag"]
        with statements(shop.app) as sent:
            shop.get(url, by=user, status=200)
            shop.get(url, by=user, headers={"If-None-Match": etag}, status=304)
        assert len(sent) == 2, sent


def test_parallel_replacements_leave_one_list(shop: Api, user: Caller) -> None:
    path = create(shop, user)

    def patch(name: str) -> Any:
        items = [{"name": f"{name}{n}"} for n in range(3)]
        return lambda: shop.patch(path, {"items": items}, by=user)

    answers = rows.blocked_by_lock(shop.app, select(Order), patch("p"), patch("q"))
    assert [answer.status_code for answer in answers] == [200, 200]
    last = max(answers, key=lambda answer: answer.json["version"])
    assert shop.get(path, by=user).data == last.data


def test_child_rows_without_a_position_are_refused() -> None:
    with pytest.raises(DeclarationError, match="Order: child rows need a column 'position'"):
        Rows(OrderItemSchema, Order.owner_id, max_length=1)

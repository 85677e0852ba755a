"""Orders with items, rows that are written with their parent."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import marshmallow as ma
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import OwnedMixin
from app.core.database.types import Money, Timestamp
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.child_rows import Rows
from app.core.resources.filters import Sort
from app.core.resources.references import Reference
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas import fields
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Boolean, Currency, DateTime, Integer, MoneyAmount, String
from app.core.security.authorization import authenticated, current_caller
from app.extensions import Base
from tests.features import own_metadata


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


BY_CREATION = Sort({"created_at": Order.created_at}, default="created_at")
orders = Blueprint("orders", __name__, url_prefix="/orders")


@orders.get("", access=authenticated)
@orders.paginated(OrderSchema, BY_CREATION)
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
@orders.exports(OrderSchema, BY_CREATION)
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

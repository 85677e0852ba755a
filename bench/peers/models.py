"""The tables as the SQLAlchemy peers declare them, and the selects of their lists."""

import json
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    DateTime,
    ForeignKey,
    Numeric,
    Select,
    SmallInteger,
    Text,
    TypeDecorator,
    select,
    tuple_,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    declared_attr,
    mapped_column,
    relationship,
    selectinload,
)

PRIORITIES = ("low", "normal", "high")


class Base(DeclarativeBase):
    pass


class Price(TypeDecorator[Decimal]):
    """Two decimals: all products of the benchmark are in EUR or USD."""

    impl = Numeric(15, 4)
    cache_ok = True

    def process_result_value(self, value: Decimal | None, dialect: Any) -> Decimal | None:
        return value and value.quantize(Decimal("0.01"))


class Priority(TypeDecorator[str]):
    impl = SmallInteger
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> int | None:
        return value and PRIORITIES.index(value)

    def process_result_value(self, value: int | None, dialect: Any) -> str | None:
        return None if value is None else PRIORITIES[value]


def now() -> datetime:
    return datetime.now(UTC)


class Resource:
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, onupdate=now)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__table__.c.version}


class User(Resource, Base):
    __tablename__ = "users"

    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    is_active: Mapped[bool]


class Product(Resource, Base):
    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Price)
    currency: Mapped[str] = mapped_column(Text)
    stock: Mapped[int] = mapped_column(default=0)
    is_active: Mapped[bool] = mapped_column(default=True)


class Task(Resource, Base):
    __tablename__ = "tasks"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    done: Mapped[bool] = mapped_column(default=False)
    priority: Mapped[str] = mapped_column(Priority, default="normal")
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    completed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Order(Resource, Base):
    __tablename__ = "orders"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    customer_id: Mapped[uuid.UUID]
    currency: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="open")
    paid_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    items: Mapped[list["OrderItem"]] = relationship(order_by="OrderItem.position")

    @property
    def total(self) -> int:
        return sum(item.quantity * item.price for item in self.items)


class OrderItem(Base):
    __tablename__ = "order_items"

    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("products.id"))
    quantity: Mapped[int]
    price: Mapped[int]


def select_products(
    *,
    sort: str,
    limit: int,
    cursor: str | None,
    category: str | None,
    currency: str | None,
    in_stock: bool | None,
    price_min: Decimal | None,
) -> Select[Any]:
    """A keyset page, with one row more than asked for."""
    statement = select(Product)
    if category is not None:
        statement = statement.where(Product.category == category)
    if currency is not None:
        statement = statement.where(Product.currency == currency)
    if in_stock is not None:
        statement = statement.where((Product.stock > 0) == in_stock)
    if price_min is not None:
        statement = statement.where(Product.price >= price_min)
    return _page(statement, Product, sort, limit, cursor)


def select_tasks(owner_id: uuid.UUID, limit: int, cursor: str | None) -> Select[Any]:
    statement = select(Task).where(Task.owner_id == owner_id)
    return _page(statement, Task, "-created_at", limit, cursor)


def select_orders(owner_id: uuid.UUID, limit: int, cursor: str | None) -> Select[Any]:
    statement = select(Order).where(Order.owner_id == owner_id).options(selectinload(Order.items))
    return _page(statement, Order, "-created_at", limit, cursor)


def _page(
    statement: Select[Any], model: Any, sort: str, limit: int, cursor: str | None
) -> Select[Any]:
    name = sort.removeprefix("-")
    key = getattr(model, name)
    if cursor:
        text, id_ = json.loads(urlsafe_b64decode(cursor))
        value = datetime.fromisoformat(text) if name.endswith("_at") else Decimal(text)
        here, there = tuple_(key, model.id), (value, uuid.UUID(id_))
        statement = statement.where(here < there if sort[0] == "-" else here > there)
    order = (key.desc(), model.id.desc()) if sort[0] == "-" else (key, model.id)
    return statement.order_by(*order).limit(limit + 1)


def cut(rows: Sequence[Any], limit: int, sort: str = "-created_at") -> tuple[list[Any], str | None]:
    """The rows of the page, and the cursor of the next."""
    items = list(rows[:limit])
    if len(rows) <= limit:
        return items, None
    key = getattr(items[-1], sort.removeprefix("-"))
    return items, urlsafe_b64encode(json.dumps([str(key), str(items[-1].id)]).encode()).decode()

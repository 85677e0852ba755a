"""Customers, orders, reviews, tags, and files of tasks."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Select, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.core.database.mixins import CALLER_ID_PARAM, OwnedMixin, ResourceMixin
from app.core.database.types import Money, Timestamp, correlated
from app.core.files.file_mixin import FileMixin
from app.core.resources.scoped_query import path_param, writable_if
from app.extensions import Base
from app.products.models import Product
from app.tasks.models import Task


class Customer(OwnedMixin, Base):
    """A customer of the user who records the orders."""

    __tablename__ = "customers"
    __table_args__ = (
        UniqueConstraint("owner_id", "email", info={"field": "email"}),
        Index("ix_customers_owner_id_created_at", "owner_id", "created_at", "id"),
    )
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str] = mapped_column(Text)


class Order(OwnedMixin, Base):
    """An order: open, then paid or cancelled."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_owner_id_created_at", "owner_id", "created_at", "id"),)
    customer_id: Mapped[UUID] = mapped_column(ForeignKey(Customer.id), index=True)
    currency: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="open")
    paid_at: Mapped[datetime | None] = mapped_column(Timestamp)
    items: ClassVar[Any] = ()


class OrderItem(Base):
    """A line of an order."""

    __tablename__ = "order_items"
    order_id: Mapped[UUID] = mapped_column(
        ForeignKey(Order.id, ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id), index=True)
    quantity: Mapped[int]
    price: Mapped[int]  # of one, in the smallest unit of the currency


class Review(ResourceMixin, Base):
    """What a user thinks of a product."""

    __tablename__ = "reviews"
    __table_args__ = (Index("ix_reviews_product_id_created_at", "product_id", "created_at", "id"),)
    product_id: Mapped[UUID] = mapped_column(ForeignKey(Product.id, ondelete="CASCADE"))
    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    rating: Mapped[int]
    text: Mapped[str | None] = mapped_column(Text)


class RatedProduct(Base):
    """The row of a product, with what its reviews say."""

    __table__ = Product.__table__
    is_active: Mapped[bool]


class Tag(OwnedMixin, Base):
    """A tag, and the tasks that have it."""

    __tablename__ = "tags"
    __table_args__ = (Index("ix_tags_owner_id_created_at", "owner_id", "created_at", "id"),)
    name: Mapped[str] = mapped_column(Text)
    tasks: ClassVar[Any] = ()


class TaggedTask(Base):
    """A task that has a tag."""

    __tablename__ = "tagged_tasks"
    __table_args__ = (UniqueConstraint("tag_id", "task_id", info={"field": "task_id"}),)
    tag_id: Mapped[UUID] = mapped_column(ForeignKey(Tag.id, ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), index=True)


class Attachment(FileMixin, Base):
    """A file of a task."""

    __tablename__ = "attachments"
    task_id: Mapped[UUID] = mapped_column(ForeignKey(Task.id, ondelete="CASCADE"), index=True)


def _computed(model: type[Base], value: Any, where: Any) -> Any:
    return column_property(correlated(select(value).where(where), model.__table__), deferred=True)


_OF_PRODUCT = Review.product_id == Product.id
RatedProduct.average = _computed(RatedProduct, func.avg(Review.rating, type_=Money), _OF_PRODUCT)
RatedProduct.review_count = _computed(RatedProduct, func.count(Review.id), _OF_PRODUCT)
_TOTAL = func.coalesce(func.sum(OrderItem.quantity * OrderItem.price), 0)
Order.total = _computed(Order, _TOTAL, OrderItem.order_id == Order.id)
OPEN = writable_if(select(Order).where(Order.owner_id == CALLER_ID_PARAM), Order.state == "open")
REVIEWS: "Select[Review]" = select(Review).join(Product, Product.id == Review.product_id)
REVIEWS = REVIEWS.where(Product.is_active, Review.product_id == path_param("product_id"))
OWN_REVIEWS = writable_if(REVIEWS, Review.author_id == CALLER_ID_PARAM)
RATED: "Select[RatedProduct]" = select(RatedProduct).where(RatedProduct.is_active)
FILES: "Select[Attachment]" = select(Attachment).join(Task, Task.id == Attachment.task_id)
FILES = FILES.where(Task.owner_id == CALLER_ID_PARAM, Attachment.task_id == path_param("task_id"))

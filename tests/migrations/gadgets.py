"""The source of a feature without migrations, which has every type of the core."""

MODELS = '''"""Models with every type of the core."""

import enum
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON, BigInteger, CheckConstraint, Date, Dialect, ForeignKey, Index, Interval, LargeBinary,
    Numeric, SmallInteger, String, Text, TypeDecorator, UniqueConstraint, Uuid, func, text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.full_text import search_index
from app.core.database.mixins import OwnedMixin, ResourceMixin
from app.core.database.types import CodepointText, Money, Timestamp, nulls_last_key
from app.extensions import Base


class Size(enum.Enum):
    small = 1
    large = 2


class Rank(TypeDecorator[Any]):
    impl = SmallInteger
    cache_ok = True


class Tags(TypeDecorator[Any]):
    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.JSONB())
        return dialect.type_descriptor(String(50))


class Cents(TypeDecorator[Any]):
    impl = Money
    cache_ok = True


class Maker(ResourceMixin, Base):
    __tablename__ = "makers"
    __table_args__ = (UniqueConstraint("country", "name"),)

    name: Mapped[str] = mapped_column(Text)
    country: Mapped[str] = mapped_column(String(2))


class Gadget(OwnedMixin, Base):
    __tablename__ = "gadgets"
    __table_args__ = (
        CheckConstraint("count >= 0", name="count"),
        CheckConstraint("name NOT LIKE 'x%' AND note <> 'a:b'", name="name"),
        search_index("ix_gadgets_search", "name", "note"),
    )

    maker_id: Mapped[UUID | None] = mapped_column(ForeignKey("makers.id", ondelete="SET NULL"))
    name: Mapped[str] = mapped_column(CodepointText)
    note: Mapped[str] = mapped_column(Text, server_default="it's new")
    count: Mapped[int] = mapped_column(server_default=text("0"))
    huge: Mapped[int] = mapped_column(BigInteger)
    weight: Mapped[Decimal | None] = mapped_column(Numeric(8, 3))
    ratio: Mapped[float]
    price: Mapped[Decimal] = mapped_column(Money)
    cost: Mapped[Decimal | None] = mapped_column(Cents)
    priority: Mapped[int] = mapped_column(Rank)
    tags: Mapped[Any] = mapped_column(Tags)
    extra: Mapped[Any] = mapped_column(JSON().with_variant(postgresql.JSONB(), "postgresql"))
    data: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    blob: Mapped[bytes] = mapped_column(LargeBinary)
    token: Mapped[UUID] = mapped_column(Uuid())
    is_active: Mapped[bool]
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    made_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.now())
    day: Mapped[date] = mapped_column(Date)
    wait: Mapped[timedelta] = mapped_column(Interval)
    # ADDED


Index("ix_gadgets_due_at", Gadget.owner_id, nulls_last_key(Gadget.due_at), Gadget.id)
Index("uq_gadgets_name", func.lower(Gadget.name), unique=True)
Index("ix_gadgets_both", Gadget.name + Gadget.note, Gadget.price.desc())
Index(
    "ix_gadgets_active", Gadget.created_at,
    postgresql_where=Gadget.is_active, sqlite_where=Gadget.is_active,
)
# ADDED INDEXES
'''
INIT = '''"""Gadgets."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Import the models."""
    from app.gadgets import models  # noqa: F401
'''

"""Columns and types that every resource shares, the same on PostgreSQL and SQLite."""

import os
import time
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Numeric,
    Select,
    Text,
    TypeDecorator,
    Uuid,
    bindparam,
    case,
    func,
    literal_column,
    select,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, declared_attr, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.extensions import Base
from app.kit.fields import CURRENCY_DECIMALS

if TYPE_CHECKING:
    from app.kit.access import Caller

__all__ = [
    "CALLER_ID",
    "Base",
    "Money",
    "Owned",
    "Resource",
    "SortableText",
    "Timestamp",
    "decimals_of",
    "now",
    "or_latest",
    "uuid7",
]


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562 section 5.7): milliseconds, their fraction, 62 random bits."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


class _SqliteTimestamp(TypeDecorator[datetime]):
    """SQLite has no time zones: instants are stored in UTC and given back aware."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class _SqliteMoney(TypeDecorator[Decimal]):
    """SQLite has no decimals: a float carries the 15 significant digits of `Money` exactly."""

    impl = Float
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> float | None:
        return None if value is None else float(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(str(value))


Timestamp = DateTime(timezone=True).with_variant(_SqliteTimestamp(), "sqlite")
Money = Numeric(15, 4).with_variant(_SqliteMoney(), "sqlite")


def decimals_of(code: Any) -> Any:
    """SQL for how many decimals the currency has; constants alone, no parameters."""
    alike: dict[int, list[Any]] = {
        n: [literal_column(f"'{c}'") for c, m in CURRENCY_DECIMALS.items() if m == n]
        for n in (0, 3, 4)
    }
    cases: list[Any] = [(code.in_(codes), literal_column(str(n))) for n, codes in alike.items()]
    return case(*cases, else_=literal_column("2"))


# Ordered by code point on every machine: a database's own collation changes with its libc.
SortableText = Text().with_variant(Text(collation="C"), "postgresql")


class _Latest(FunctionElement[datetime]):
    """An instant after all others."""

    type = Timestamp
    inherit_cache = True


@compiles(_Latest, "postgresql")
def _latest_postgresql(element: _Latest, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "'9999-12-31 00:00:00+00'::timestamptz"


@compiles(_Latest)
def _latest_sqlite(element: _Latest, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "'9999-12-31 00:00:00.000000'"


def or_latest(column: Any) -> ColumnElement[datetime]:
    """The column as a sort key, which must not be NULL: no instant comes after every instant."""
    return func.coalesce(column, _Latest(), type_=Timestamp)


# In a select that a resource keeps as a constant, this stands for whoever is asking.
CALLER_ID = bindparam("caller_id", type_=Uuid())


def _created_at(context: DefaultExecutionContext) -> Any:
    return context.get_current_parameters()["created_at"]  # type: ignore[no-untyped-call]


class Resource:
    """Mixin of every row that has a URL: identity, version (the ETag) and its two instants."""

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7, sort_order=-1)
    version: Mapped[int] = mapped_column(default=1, sort_order=90)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now, sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(Timestamp, default=_created_at, sort_order=92)

    def __init__(self, **values: Any) -> None:
        """A new instance, of which nothing is tracked: what it has is inserted.

        Raises:
            TypeError: there is no such column.
        """
        if unknown := values.keys() - _names(type(self)):  # type: ignore[arg-type]
            raise TypeError(f"{type(self).__name__} has no column {', '.join(unknown)}")
        vars(self).update(values)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]


@cache
def _names(model: Any) -> frozenset[str]:
    return frozenset(model.__table__.c.keys())


class Owned(Resource):
    """Mixin of rows that belong to one user, and exist for nobody else."""

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))

    @classmethod
    def visible_to(cls, caller: "Caller") -> "Select[Self]":
        """The caller's own."""
        return _own(cls)  # type: ignore[arg-type]


@cache
def _own(model: Any) -> "Select[Any]":
    return select(model).where(model.owner_id == CALLER_ID)

"""Columns and types that every resource shares, the same on PostgreSQL and SQLite."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Dialect, Float, Numeric, Text, TypeDecorator, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


class _SqliteTimestamp(TypeDecorator[datetime]):
    """SQLite has no time zones: instants are stored in UTC and returned aware."""

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
# A CHECK constraint limits the decimals: docs/decisions.md#5-money-as-numeric-with-a-scale-check
Money = Numeric(15, 4).with_variant(_SqliteMoney(), "sqlite")

# The default collation changes with the libc, which corrupts indexes silently:
# docs/decisions.md#7-sorting-by-code-point
CodepointText = Text().with_variant(Text(collation="C"), "postgresql")


class _Latest(FunctionElement[datetime]):
    """An instant after every other one."""

    type = Timestamp
    inherit_cache = True


@compiles(_Latest, "postgresql")
def _latest_postgresql(element: _Latest, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "'9999-12-31 00:00:00+00'::timestamptz"


@compiles(_Latest)
def _latest_sqlite(element: _Latest, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "'9999-12-31 00:00:00.000000'"


def nulls_last_key(column: Any) -> ColumnElement[datetime]:
    """Return the column as a sort key that is never NULL: no instant sorts after every instant."""
    # A comparison with NULL would lose rows of a page: docs/decisions.md#6-sort-keys-without-null
    return func.coalesce(column, _Latest(), type_=Timestamp)

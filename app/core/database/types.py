"""Columns and types that every resource shares, the same on PostgreSQL and SQLite."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    Numeric,
    Text,
    TypeDecorator,
    case,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core.schemas.currencies import CURRENCY_SCALES

if TYPE_CHECKING:
    pass


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


def currency_scale_sql(code: Any) -> Any:
    """SQL for how many decimals the currency has; constants alone, no parameters."""
    alike: dict[int, list[Any]] = {
        n: [literal_column(f"'{c}'") for c, m in CURRENCY_SCALES.items() if m == n]
        for n in (0, 3, 4)
    }
    cases: list[Any] = [(code.in_(codes), literal_column(str(n))) for n, codes in alike.items()]
    return case(*cases, else_=literal_column("2"))


# Ordered by code point on every machine: a database's own collation changes with its libc.
CodepointText = Text().with_variant(Text(collation="C"), "postgresql")


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


def nulls_last_key(column: Any) -> ColumnElement[datetime]:
    """The column as a sort key, which must not be NULL: no instant comes after every instant."""
    return func.coalesce(column, _Latest(), type_=Timestamp)

"""Columns and types that every resource shares, the same on PostgreSQL and SQLite."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Float,
    FromClause,
    Numeric,
    Select,
    Table,
    Text,
    TypeDecorator,
    func,
    literal_column,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.visitors import replacement_traverse


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


class correlated(FunctionElement[Any]):  # noqa: N801 - reads as a function
    """The value of a SELECT for each row of a table, in SELECT, INSERT, UPDATE and DELETE.

    Args:
        statement: a SELECT of one value; what it has of the table is that of the row around it.
        table: that of the row.
        type_: of the value, by default that of the SELECT.
    """

    inherit_cache = True

    def __init__(self, statement: Select[Any], table: FromClause, type_: Any = None) -> None:
        name = cast(Table, table).name

        def outer(element: Any, **_: Any) -> Any:
            if isinstance(element, Column) and element.table.name == name:
                return literal_column(f"{name}.{element.name}", element.type)
            return None

        # SQLAlchemy correlates nothing to the table of an INSERT, which RETURNING reads.
        inner: Any = replacement_traverse(statement, {}, outer)
        self.statement, value = inner, inner.scalar_subquery()
        super().__init__(value)
        self.type = type_ or value.type


@compiles(correlated)
def _correlated(element: correlated, compiler: SQLCompiler, **kwargs: Any) -> str:
    # In RETURNING, SQLAlchemy omits the names of tables on SQLite, also inside of the SELECT.
    return compiler.process(element.clauses, **{**kwargs, "include_table": True})


def nulls_last_key(column: Any) -> ColumnElement[datetime]:
    """Return the column as a sort key that is never NULL: no instant sorts after every instant."""
    # A comparison with NULL would lose rows of a page: docs/decisions.md#6-sort-keys-without-null
    return func.coalesce(column, _Latest(), type_=Timestamp)

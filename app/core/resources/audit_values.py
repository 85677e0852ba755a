"""Rows in the audit log: stored as the database has them, shown as the resource shows them.

PostgreSQL builds the JSON object of the columns in the statement that writes (`sql_object`).
Elsewhere `stored_values` builds the same object in Python. `shown_change` converts it when events
are read, with the same `row_to_dict` as every response.
"""

# Only columns that the schema of the resource shows are stored, so no secret is:
# docs/decisions.md#43-audit-log

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from app.core.schemas.base import Schema
from app.core.schemas.fields import MoneyAmount
from app.extensions import db

Values = dict[str, Any]  # by column name

_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]
_UNRECORDED = frozenset({"version", "updated_at"})  # every update changes them
_schemas: dict[str, Schema] = {}


def register_schema(resource: str, schema: Schema) -> None:
    """Show the events of a table with this schema; the first one registered stays.

    `Blueprint.paginated` calls it. Events of a resource without a list are shown by column types.
    """
    _schemas.setdefault(resource, schema)


@lru_cache(maxsize=1024)
def recorded_columns(schema: Schema, changed: Collection[str]) -> tuple[str, ...]:
    """The columns to record of an update, in the order of the schema.

    Args:
        changed: the columns that are set; hashable.
    """
    # An amount cannot be shown without its currency, so each is recorded with the other.
    amounts = schema.dump_fields.items()
    pairs = [{n, f.currency} for n, f in amounts if isinstance(f, MoneyAmount) and f.currency]
    wanted = set(changed).union(*(pair for pair in pairs if pair & set(changed)))
    return tuple(name for name in schema.column_names if name in wanted - _UNRECORDED)


def sql_object(row: Any, names: Collection[str]) -> sa.ColumnElement[Any]:
    """SQL of PostgreSQL for a JSON object with these columns.

    Args:
        row: the columns of a table or CTE, by name.
    """
    # The names are literals: as parameters they would be sent with each execution.
    pairs: list[Any] = []
    for name in names:
        pairs += [sa.literal_column(f"'{name}'"), decimal_as_text(row[name])]
    return sa.func.json_build_object(*pairs, type_=sa.JSON)


def decimal_as_text(column: Any) -> Any:
    """SQL of PostgreSQL for a column in a JSON value."""
    # As a JSON number, most readers would make a decimal a float.
    return sa.cast(column, sa.Text) if _python_type(column.type) is Decimal else column


def stored_values(table: sa.Table, values: Values) -> Values:
    """The object of `sql_object`, built in Python; `values` is changed in place and returned."""
    for name, convert in _stored_converters(table):
        if values.get(name) is not None:
            values[name] = convert(values[name])
    return values


@lru_cache(maxsize=256)
def _stored_converters(table: sa.Table) -> list[tuple[str, Callable[[Any], Any]]]:
    """How to convert what JSON cannot represent as PostgreSQL does: decimals and own types."""
    converters: list[tuple[str, Callable[[Any], Any]]] = []
    for column in table.c:
        type_: Any = column.type
        if isinstance(type_, sa.TypeDecorator):
            converters.append((column.name, partial(_bind_value, type_)))
        elif _python_type(type_) is Decimal:
            text = "{}" if type_.scale is None else f"{{:.{type_.scale}f}}"
            converters.append((column.name, text.format))
    return converters


def _bind_value(type_: sa.TypeDecorator[Any], value: Any) -> Any:
    with suppress(NotImplementedError):  # the type converts results only
        return type_.process_bind_param(value, _POSTGRESQL)
    return value


def shown_change(
    resource: str, before: Values | None, after: Values | None
) -> tuple[Values | None, Values | None]:
    """`before` and `after` of an event as the resource shows them; of both, what differs."""
    shown_before = _members(resource, before)
    shown_after = _members(resource, after)
    if shown_before is None or shown_after is None:
        return shown_before, shown_after
    same = {
        name
        for name in shown_before.keys() & shown_after.keys()
        if shown_before[name] == shown_after[name]
    }
    return _omit(shown_before, same), _omit(shown_after, same)


def _omit(values: Values, names: Collection[str]) -> Values:
    return {name: value for name, value in values.items() if name not in names}


def _members(resource: str, stored: Values | None) -> Values | None:
    schema, table = _schemas.get(resource), db.metadata.tables.get(resource)
    if not stored or table is None:
        return stored
    if schema is None:
        values = {name: python_value(table, name, value) for name, value in stored.items()}
        return {n: stored[n] if isinstance(v, Decimal) else v for n, v in values.items()}
    row = [python_value(table, name, stored.get(name)) for name in schema.column_names]
    members = schema.row_to_dict(row)
    # An event may be older than its schema: what cannot be shown by it is shown as it was stored.
    return {
        name: members[name]
        if name in members and stored.keys() >= {*recorded_columns(schema, (name,))}
        else value
        for name, value in stored.items()
    }


def python_value(table: sa.Table, name: str, value: Any) -> Any:
    """The Python value of a stored one."""
    return None if value is None else value_converter(table, name)(value)


@lru_cache(maxsize=2048)
def value_converter(table: sa.Table, name: str) -> Callable[[Any], Any]:
    """The function that makes the Python value of a stored one that is not None."""
    type_: Any = table.c[name].type if name in table.c else sa.JSON()
    kind = _python_type(getattr(type_, "impl_instance", type_))
    if isinstance(type_, sa.TypeDecorator):
        return lambda value: _decorated_value(type_, value) if isinstance(value, kind) else value
    if kind is Decimal:
        return Decimal
    if kind is datetime:  # in the time zone of the session that wrote it
        return lambda value: datetime.fromisoformat(value).astimezone(UTC)
    return lambda value: value


def _decorated_value(type_: sa.TypeDecorator[Any], value: Any) -> Any:
    with suppress(NotImplementedError):  # the type converts parameters only
        return type_.process_result_value(value, _POSTGRESQL)
    return value


def _python_type(type_: Any) -> type[Any]:
    try:
        python_type: type[Any] = type_.python_type
    except NotImplementedError:
        return object
    return python_type

"""Members as JSON made by PostgreSQL: so a statement that changes a row can tell of it as well.

What comes out is what `Schema.row_to_dict` gives of the same row, as tests compare.
"""

from collections.abc import Collection
from functools import reduce
from typing import Any

from sqlalchemy import JSON, ColumnElement, DateTime, Text, case, cast, func, literal_column, or_
from sqlalchemy.dialects.postgresql import JSONB

from app.core.schemas.base import Schema
from app.core.schemas.currencies import CURRENCY_SCALES
from app.core.schemas.fields import MoneyAmount

Columns = Any  # of one row, by name


def row_as_json(schema: Schema, row: Columns) -> ColumnElement[Any]:
    """All members of a row."""
    members = [
        part for name in schema.column_names for part in (_text(name), _member(schema, name, row))
    ]
    return func.json_build_object(*members, type_=JSON)


def changed_columns_as_json(
    schema: Schema, names: Collection[str], row: Columns, other: Columns
) -> ColumnElement[Any]:
    """The members in which a row differs from another one.

    Args:
        names: of the columns that may differ.
    """
    nothing: ColumnElement[Any] = cast(_text("{}"), JSONB)
    parts = [nothing]
    for name in schema.column_names:
        pairs = [(_comparable(row[name]), _comparable(other[name]))] if name in names else []
        if (code := _currency(schema, name)) in names:
            pairs.append((currency_scale_sql(row[code]), currency_scale_sql(other[code])))
        if pairs:
            differs = or_(*[value.is_distinct_from(another) for value, another in pairs])
            part = func.jsonb_build_object(_text(name), _member(schema, name, row), type_=JSONB)
            parts.append(case((differs, part), else_=nothing))
    return cast(reduce(lambda left, right: left.concat(right), parts), JSON)


def _member(schema: Schema, name: str, row: Columns) -> ColumnElement[Any]:
    column, field = row[name], schema.fields[name]
    if shown := getattr(column.type, "display_sql", None):  # a type of our own, by what it shows
        column = shown(column)
    elif isinstance(field, MoneyAmount):
        code = _currency(schema, name)
        decimals = currency_scale_sql(row[code]) if code else literal_column("4")
        column = cast(func.round(column, decimals), Text)
    elif isinstance(column.type, DateTime):
        utc = func.timezone(_text("UTC"), column)
        whole_second = func.date_trunc(_text("second"), utc) == utc
        fraction = case((whole_second, _text("")), else_=func.to_char(utc, _text(".US")))
        text = func.concat(
            func.to_char(utc, _text('YYYY-MM-DD"T"HH24:MI:SS')), fraction, _text("Z")
        )
        column = case((utc.is_not(None), text))
    member: ColumnElement[Any] = column
    return member


def _comparable(column: Any) -> Any:
    return cast(column, JSONB) if isinstance(column.type, JSON) else column


def _currency(schema: Schema, name: str) -> str | None:
    field = schema.fields[name]
    return field.currency if isinstance(field, MoneyAmount) else None


def _text(constant: str) -> Any:
    """A constant of ours, which is no parameter: those are sent each time."""
    return literal_column(f"'{constant}'", Text)


def currency_scale_sql(code: Any) -> Any:
    """Return SQL for the number of decimals of a currency: constants only, no parameters."""
    by_scale: dict[int, list[Any]] = {
        n: [literal_column(f"'{c}'") for c, m in CURRENCY_SCALES.items() if m == n]
        for n in (0, 3, 4)
    }
    cases: list[Any] = [(code.in_(codes), literal_column(str(n))) for n, codes in by_scale.items()]
    return case(*cases, else_=literal_column("2"))

"""The check at start that `Schema.row_to_dict` returns what `Schema.dump` returns."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import marshmallow as ma
import orjson

from app.config import StartError
from app.core.schemas import fields
from app.core.schemas.base import Schema, nested_schema
from app.core.schemas.fields import Boolean, Currency, DateTime, MoneyAmount

S = TypeVar("S", bound=Schema)

# A value as the database returns it, for each class of fields that rows can have.
_SAMPLES: dict[type[ma.fields.Field[Any]], Any] = {
    MoneyAmount: Decimal("7.5"),
    Currency: "KWD",
    fields.UUID: UUID("01a1f7fe-8f50-7a21-ab70-405360359d28"),
    fields.String: "a",
    fields.Integer: 7,
    Boolean: True,
    DateTime: datetime(2030, 1, 2, 3, 4, 5, 6, UTC),
    fields.Date: date(2030, 1, 2),
    ma.fields.Dict: {"a": [1, None]},
}
KNOWN_FIELDS = tuple(_SAMPLES)


def check_serialisable(schema: S) -> S:
    """Return the schema if `row_to_dict` can serialise it.

    Raises:
        StartError: it cannot; the message names module, schema and member. Reasons are
            `data_key`, `attribute`, a class of fields that it does not know (`Method` and
            `Function` among them), an amount without the member that names its currency, and
            whatever makes `dump` return something else, such as a `post_dump` hook.
    """
    for name in schema.column_names:
        if reason := _reason(schema, schema.dump_fields[name]):
            raise StartError(f"{schema_name(schema)}.{name}: {reason}")
        if (inner := nested_schema(schema.dump_fields[name])) and isinstance(inner, Schema):
            check_serialisable(inner)
    if type(schema).row_to_dict is Schema.row_to_dict:  # else the difference is intended
        _compare(schema, {name: _sample(schema.dump_fields[name]) for name in schema.column_names})
        _compare(schema, dict.fromkeys(schema.column_names))
    return schema


def schema_name(schema: Schema) -> str:
    """Module and name of the class."""
    return f"{type(schema).__module__}.{type(schema).__name__}"


def _reason(schema: Schema, field: ma.fields.Field[Any]) -> str:
    """Why the field cannot be serialised by `row_to_dict`; empty if it can."""
    if field.data_key or field.attribute:
        return "data_key and attribute do not work here, a member has the name of its column"
    if isinstance(field, MoneyAmount) and field.currency not in (None, *schema.column_names):
        return f"its currency {field.currency!r} is not a member that the schema returns"
    inner = field.inner if isinstance(field, ma.fields.List) else field
    if isinstance(inner, ma.fields.Nested):
        if type(inner) is not ma.fields.Nested or not isinstance(inner.schema, Schema):
            return "only Nested with an app.core.schemas.base.Schema can be serialised from a row"
    elif not isinstance(inner, tuple(_SAMPLES)) or (
        inner is not field and isinstance(inner, MoneyAmount)
    ):
        return f"fields of class {type(inner).__name__} cannot be serialised from a row"
    return ""


def python_type(field: ma.fields.Field[Any]) -> type[Any] | None:
    """The type of the values that the field loads; None if it is not known."""
    return type(_sample(field)) if isinstance(field, KNOWN_FIELDS) else None


def _sample(field: ma.fields.Field[Any]) -> Any:
    if isinstance(field, ma.fields.List):
        return [_sample(field.inner)]
    if isinstance(field, ma.fields.Nested):
        fields = field.schema.dump_fields
        sample: Any = {name: _sample(inner) for name, inner in fields.items()}
        return [sample] if field.many else sample
    return next(value for kind, value in _SAMPLES.items() if isinstance(field, kind))


def _compare(schema: Schema, members: dict[str, Any]) -> None:
    """Raise an error if `dump` returns something else for the same values."""
    # Compared as JSON: `dump` returns strings for dates and UUIDs, which orjson writes itself.
    option = orjson.OPT_UTC_Z
    row_to_dict = orjson.loads(orjson.dumps(schema.row_to_dict(members.values()), option=option))
    dumped = orjson.loads(orjson.dumps(schema.dump(members), option=option))
    for name in {**row_to_dict, **dumped}:
        if row_to_dict.get(name, ma.missing) != dumped.get(name, ma.missing):
            reason = "dump returns something else than the row has: a hook, or an own _serialize"
            raise StartError(f"{schema_name(schema)}.{name}: {reason}")

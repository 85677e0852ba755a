"""The check at the start that the members of a schema are documented and validated exactly."""

import traceback
import uuid
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

import marshmallow as ma
import sqlalchemy as sa

from app.config import StartError
from app.core.schemas.base import Schema, nested_schema
from app.core.schemas.fields import UUID, Boolean, DateTime, Enum, Integer, MoneyAmount, String
from app.core.schemas.serialisable import KNOWN_FIELDS, python_type, schema_name

S = TypeVar("S", bound=Schema)

# Those of marshmallow that JSON Schema describes as they validate.
_CONTAINERS = (ma.fields.List, ma.fields.Nested)
# The class of a default, where a value in JSON has another one.
_PYTHON_TYPES: dict[type[ma.fields.Field[Any]], type] = {
    ma.fields.DateTime: datetime,
    ma.fields.Date: date,
    ma.fields.UUID: uuid.UUID,
}
# Of columns whose values only fields of the same type have; others, such as JSON, hold any.
_COLUMN_TYPES = (str, bytes, int, float, Decimal, bool, uuid.UUID, datetime, date)
# Formats for which the document has an example: `app.core.openapi.components`.
_FORMATS = ("password",)


def check_members(schema: S, *, is_body: bool) -> S:
    """Return the schema if each member has a known class of fields, and an example if needed.

    Args:
        is_body: whether it is the body of a request; else it is that of a response.

    Raises:
        StartError: names module, schema and member.
    """
    for name, field in (schema.load_fields if is_body else schema.dump_fields).items():
        problem = field_problem(field) or _example_problem(field, is_body=is_body)
        if problem or (problem := wrong_default(field, "load_default", field.load_default)):
            raise StartError(f"{schema_name(schema)}.{name}: {problem}")
        inner = nested_schema(field)
        if isinstance(inner, Schema) and "example" not in field.metadata:
            check_members(inner, is_body=is_body)
    if is_body and (problem := _hook_problem(schema)):
        raise StartError(f"{schema_name(schema)}: {problem}")
    return schema


def _hook_problem(schema: Schema) -> str:
    """Why marshmallow cannot call the hooks of the schema, or use what they return."""
    if schema.is_loaded_by_fields:
        return ""
    fields = schema.load_fields.items()
    examples = {name: f.metadata["example"] for name, f in fields if "example" in f.metadata}
    try:
        loaded = schema.load(examples, partial=True)
    except ma.ValidationError as error:
        is_no_object = error.messages == {"_schema": [schema.error_messages["type"]]}
        return "a @pre_load hook returns no object" if is_no_object else ""
    except Exception as error:  # of a hook itself, which may need a request
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        is_call = frame.f_globals["__name__"].startswith("marshmallow.")
        return f"load fails with {type(error).__name__}: {error}" if is_call else ""
    text = f"a @post_load hook returns {type(loaded).__name__}, which is no dict"
    return "" if isinstance(loaded, dict) else text


def field_problem(field: ma.fields.Field[Any]) -> str:
    """Why the field cannot be served: its class, or its arguments; empty if it can."""
    problem: str = getattr(field, "declaration_problem", str)()
    if problem:
        return problem
    if field.dump_only and field.required:
        return "with dump_only=True it cannot be required"
    inner = field.inner if isinstance(field, ma.fields.List) else field
    known = isinstance(inner, (*KNOWN_FIELDS, *_CONTAINERS))
    # A field of one's own describes itself: see `app.core.schemas.fields`.
    if known or hasattr(inner, "openapi_properties"):
        return ""
    return f"fields of class {type(inner).__name__} are not supported"


def _example_problem(field: ma.fields.Field[Any], *, is_body: bool) -> str:
    """Why a value of the member cannot be made up for the document and the generated tests."""
    if "example" in field.metadata:
        return wrong_value(field, "example", field.metadata["example"])
    if isinstance(field, Boolean | DateTime | Enum | UUID):
        return ""
    if field.metadata.get("format") in _FORMATS or hasattr(field, "variants"):
        return ""
    if nested_schema(field):  # its members have examples
        return "an example is missing" if field.allow_none else ""
    if is_body:
        own = "" if field.required else ", or dump_only=True if the server sets it"
        return f"an example is missing{own}"
    if isinstance(field, ma.fields.List):
        return _example_problem(field.inner, is_body=False)
    needs = isinstance(field, String | MoneyAmount | ma.fields.Date | ma.fields.Dict)
    has_format = "format" in getattr(field, "openapi_properties", dict)()
    return "an example is missing" if needs and not has_format and not field.allow_none else ""


def wrong_value(field: ma.fields.Field[Any], name: str, value: Any) -> str:
    """Why the field does not take a value, such as its example; empty if it does."""
    try:
        with suppress(RuntimeError):  # of a validator that reads the settings of an application
            field.deserialize(value)
    except ma.ValidationError as error:
        return f"its {name} {value!r} is not valid: {error.messages}"
    return ""


def wrong_default(field: ma.fields.Field[Any], name: str, value: Any) -> str:
    """Why a Python value is no default of the field; empty if it is one, or computed later."""
    if not isinstance(value, str | int | float | date | uuid.UUID):
        return ""
    for kind, expected in _PYTHON_TYPES.items():
        if isinstance(field, kind) and not isinstance(value, expected):
            return f"its {name} {value!r} is no {expected.__name__}"
    if isinstance(field, String | Integer | Boolean):
        return wrong_value(field, name, value)
    return ""


def wrong_type(field: ma.fields.Field[Any], stored: sa.types.TypeEngine[Any], what: str) -> str:
    """Why values of the field are no values of this type; empty if they are, or may be.

    Args:
        what: has the type, such as "its column holds".
    """
    loaded = python_type(field)
    if loaded is None or isinstance(stored, sa.TypeDecorator):  # which converts the values
        return ""
    try:
        expected: type[Any] = stored.python_type
    except NotImplementedError:  # SQLAlchemy does not know it
        return ""
    fits = loaded is expected or {loaded, expected} == {Decimal, float}
    if fits or expected not in _COLUMN_TYPES:
        return ""
    return f"{what} {expected.__name__}, {type(field).__name__} is {loaded.__name__}"


def too_narrow(field: ma.fields.Field[Any], stored: sa.types.TypeEngine[Any]) -> str:
    """Why a column of this type cannot store all values of the field; empty if it can."""
    if isinstance(stored, sa.TypeDecorator):
        return ""
    if isinstance(field, MoneyAmount):  # 11 digits and 4 decimals
        scale, precision = getattr(stored, "scale", None), getattr(stored, "precision", None)
        decimals = MoneyAmount.MAX_SCALE if scale is None else scale
        whole = MoneyAmount.MAX_DIGITS if precision is None else precision - decimals
        narrow = decimals < MoneyAmount.MAX_SCALE or whole < MoneyAmount.MAX_DIGITS
    elif isinstance(field, Integer):
        bits = 15 if isinstance(stored, sa.SmallInteger) else 31
        is_small = isinstance(stored, sa.Integer) and not isinstance(stored, sa.BigInteger)
        narrow = is_small and field.max >= 2**bits
    else:
        lengths = [each.max for each in field.validators if isinstance(each, ma.validate.Length)]
        length = getattr(stored, "length", None) if isinstance(field, String) else None
        narrow = length is not None and any((most or 0) > length for most in lengths)
    return f"its column is {stored}, which does not hold all its values" if narrow else ""

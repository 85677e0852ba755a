"""The checks at the start of the query and the rows of a list: a mistake stops it with one line."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.functions import coalesce, count
from sqlalchemy.sql.operators import is_, is_not
from sqlalchemy.sql.visitors import iterate

from app.core.database.types import correlated
from app.core.openapi.operation import DeclarationError
from app.core.resources.cursor import SORTABLE
from app.core.resources.filters import NOT_FILTERS, PageQuery, Sort
from app.core.resources.model_checks import member_names
from app.core.schemas.base import Schema
from app.core.schemas.fields import Integer
from app.core.schemas.member_checks import field_problem, wrong_type


def list_query(schema: type[Schema], query: type[PageQuery] | Sort, **options: Any) -> PageQuery:
    """An instance of the query of a list, checked; a Sort is that of a list without filters."""
    if not isinstance(query, Sort):
        return check_query(query(**options))
    own: Any = PageQuery.from_dict({"sort": query}, name=schema.__name__)
    own.__module__, own.__qualname__ = schema.__module__, schema.__qualname__  # for errors
    return check_query(own(**options))


def check_query(query: PageQuery) -> PageQuery:
    """Return the query of a list if each filter is one, and each sort key can be in a cursor.

    Raises:
        DeclarationError: names the parameter.
    """
    sort = query.fields.get("sort")
    if not isinstance(sort, Sort) or not sort.keys:
        raise DeclarationError(type(query), "a sort is missing")
    if not isinstance(sort.keys, Mapping):
        raise DeclarationError(type(query), f"the sort keys {sort.keys!r} are no mapping")
    for name, key in sort.keys.items():
        if problem := _sort_key_problem(key):
            raise DeclarationError(type(query), f"the sort key {name} {problem}")
    if sort.load_default not in sort.choices:
        text = f"the default {sort.load_default!r} of sort is no sort key"
        raise DeclarationError(type(query), text)
    for name, field in query.fields.items():
        if problem := field_problem(field) or _filter_problem(name, field):
            raise DeclarationError(type(query), problem, member=name)
    return query


def _filter_problem(name: str, field: ma.fields.Field[Any]) -> str:
    if name in NOT_FILTERS:
        taken = "condition" in field.metadata
        return "every list has a parameter of this name" if taken else ""
    if "condition" not in field.metadata:
        return "is no filter, write filter_by(…)"
    if isinstance(field, ma.fields.List | ma.fields.Nested | ma.fields.Dict):
        return f"fields of class {type(field).__name__} cannot be in a query"
    try:
        condition = field.metadata["condition"](sa.bindparam(f"filter_{name}"))
    except Exception as error:  # the resource's own function
        return f"its condition fails with {type(error).__name__}: {error}"
    if not isinstance(condition, sa.ColumnElement):
        return f"its condition returns {condition!r}, which is no SQL expression"
    return _compared_type_problem(field, condition, f"filter_{name}")


def _compared_type_problem(field: ma.fields.Field[Any], condition: Any, parameter: str) -> str:
    """Why the condition cannot compare the values of the field; empty if it can."""
    for each in iterate(condition):
        # SQLAlchemy gives the parameter the type of what it is compared with.
        if isinstance(each, sa.BindParameter) and each.key == parameter:
            is_number = isinstance(field, Integer) and isinstance(each.type, sa.Numeric)
            problem = "" if is_number else wrong_type(field, each.type, "its condition compares")
            if problem:
                return problem
    return ""


def _sort_key_problem(key: Any) -> str:
    try:
        kind = key.type.python_type
    except NotImplementedError:
        return f"has an unsupported type, {type(key.type).__name__}"
    except AttributeError:
        return f"is {key!r}, which is no SQL expression"
    if _can_be_null(getattr(key, "expression", key)):
        # A comparison with NULL is never true, so such rows would be on no page but the first.
        return "can be NULL"
    # `object`: SQLAlchemy does not know the type of the expression.
    return "" if kind is object or issubclass(kind, SORTABLE) else f"is a {kind.__name__}"


def _can_be_null(expression: Any) -> bool:
    """Whether the expression has a nullable column that decides whether it is NULL."""
    if isinstance(expression, correlated):  # a SELECT, which may have no row
        (value,) = expression.statement.selected_columns
        return not isinstance(value, count | coalesce)
    if isinstance(expression, sa.Column):
        return bool(expression.nullable)
    if isinstance(expression, coalesce):
        return all(map(_can_be_null, expression.clauses))
    if isinstance(expression, sa.ScalarSelect) or getattr(expression, "operator", None) in (
        is_,
        is_not,
    ):
        return False  # of a subquery it is not known
    return any(map(_can_be_null, expression.get_children()))


def listed_model(query: PageQuery, schema: Schema) -> Any:
    """The model of a list: that of a sort key that is a column; None where there is none.

    Raises:
        DeclarationError: the model lacks a member of the schema. Names it.
    """
    sort: Any = query.fields["sort"]
    models = [key.class_ for key in sort.keys.values() if isinstance(key, InstrumentedAttribute)]
    missing = {model: _missing_member(model, schema) for model in models}
    for model, name in missing.items():
        if name is None:
            return model
    for model, name in missing.items():
        text = f"{model.__name__} has no column or computed member of this name"
        raise DeclarationError(type(schema), text, member=name or "")
    return None


def _missing_member(model: Any, schema: Schema) -> str | None:
    fields = schema.dump_fields  # one with a method `column` is not a column of the table
    own = (name for name in schema.column_names if not hasattr(fields[name], "column"))
    members = member_names(model)
    return next((name for name in own if name not in members), None)

"""The checks at the start that the members of a schema fit the model of its rows."""

# A view returns its scoped query during a request, so the model is not declared anywhere: it is the
# mapped class without a mismatch, or else the one that lacks the fewest members.

import inspect
import re
from collections.abc import Iterator
from typing import Any

import marshmallow as ma
import sqlalchemy as sa
from flask import Flask

from app.core.database.types import correlated
from app.core.files.file_mixin import FileMixin
from app.core.openapi.operation import DeclarationError, Operation, View
from app.core.resources.child_rows import Rows
from app.core.resources.references import Reference
from app.core.resources.scope_checks import check_result, check_scopes
from app.core.resources.statements import table_of
from app.core.schemas.base import Schema
from app.core.schemas.fields import DateTime
from app.core.schemas.member_checks import too_narrow, wrong_default, wrong_type
from app.core.web.problems import TYPES
from app.extensions import Base

_KINDS = ("returns", "creates", "updates", "action")  # their schema is that of one row
_ID_NAME = re.compile(r":\w+>")
Mismatch = tuple[str, str]  # a member, and what is wrong with it


def check_models(app: Flask) -> None:
    """Check the schemas and scoped queries of all views, once all features are imported.

    Raises:
        DeclarationError: no model fits a schema, a scoped query does not fit the path, two views
            or schemas have one name, or a constraint has an unknown `info`.
    """
    models = [mapper.class_ for mapper in Base.registry.mappers]
    for model in models:
        _check_info(model)
    named: dict[str, str] = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        operation: Operation | None = getattr(view, "operation", None)
        if not operation:
            continue
        own_models = check_scopes(view, operation, rule.arguments)
        path = _ID_NAME.sub(">", rule.rule)
        methods = [
            f"{method} {path}" for method in sorted({*(rule.methods or ())} - {"HEAD", "OPTIONS"})
        ]
        for name in (f"the operationId {view.__name__}", *methods):
            _check_unique(named, name, inspect.unwrap(view))
        for schema in (operation.body, operation.schema):
            if schema and type(schema).__module__ != ma.Schema.__module__:  # else `derived_schema`
                _check_unique(named, f"the name {type(schema).__name__}", type(schema))
        if operation.schema and operation.response_kind in _KINDS:
            _check_schema(operation, operation.schema, own_models or models)
        if operation.response_kind == "returns_file":
            _check_files(view, own_models)
        check_result(view, operation)


def _check_info(model: Any) -> None:
    """Check what the constraints and indexes say to `app.core.web.database_errors`."""
    declared: list[Any] = [*table_of(model).constraints, *table_of(model).indexes]
    for each in declared:
        for key, value in each.info.items():
            known = key in ("detail", "dialect") or (key == "problem" and value in TYPES)
            if not known and not (key == "field" and hasattr(model, value)):
                text = f"the info of {each.name} has the unknown {key}={value!r}"
                raise DeclarationError(model, text)


def _check_unique(named: dict[str, str], name: str, owner: Any) -> None:
    """Check that what the OpenAPI document calls by a name is one thing."""
    other = named.setdefault(name, f"{owner.__module__}.{owner.__qualname__}")
    if other != f"{owner.__module__}.{owner.__qualname__}":
        raise DeclarationError(owner, f"{other} has {name} already")


def _check_files(view: View, own_models: list[Any]) -> None:
    if own_models and not any(issubclass(model, FileMixin) for model in own_models):
        text = f"{own_models[-1].__name__} has no file, derive it from FileMixin"
        raise DeclarationError(inspect.unwrap(view), text)


def _check_schema(operation: Operation, schema: Schema, models: list[Any]) -> None:
    fitting = [model for model in models if not _lacking(model, schema)]
    if any(next(_mismatches(model, schema, operation), None) is None for model in fitting):
        return
    found = [(model, list(_mismatches(model, schema, operation))) for model in models]
    _, mismatches = min(found, key=lambda each: (_lacking(each[0], schema), len(each[1])))
    name, text = mismatches[0]
    raise DeclarationError(type(schema), text, member=name)


def member_names(model: Any) -> set[str]:
    """The names of the columns and computed members of a model."""
    mapper = sa.inspect(model)
    return {*mapper.all_orm_descriptors.keys()} - {*mapper.relationships.keys()}


def _lacking(model: Any, schema: Schema) -> int:
    """The number of members of the schema, other than child rows, that the model has not."""
    fields = schema.dump_fields
    names = {name for name in schema.column_names if not isinstance(fields[name], Rows)}
    return len(names - member_names(model))


def _default(column: Any) -> Any:
    return getattr(getattr(column, "default", None), "arg", None)


def _name_of_column(model: Any, name: str) -> str | None:
    """The name in the database of an attribute that is a column."""
    attribute = sa.inspect(model).column_attrs.get(name)
    column = attribute.columns[0] if attribute else None
    return column.name if isinstance(column, sa.Column) else None


def _type_problem(field: ma.fields.Field[Any], column: Any) -> str:
    if column is None or isinstance(column.type, sa.TypeDecorator):  # which converts the values
        return ""
    if isinstance(field, DateTime) and getattr(column.type, "timezone", True) is False:
        return "its column has no time zone, use Timestamp"
    if field.allow_none and getattr(column.type, "none_as_null", True) is False:
        return "null would be a value of its column, use JSON(none_as_null=True)"
    return wrong_type(field, column.type, "its column holds")


def _selects_uncorrelated(expression: Any) -> bool:
    """Whether the expression has a SELECT, of which SQLAlchemy makes no RETURNING."""
    if isinstance(expression, correlated):
        return False
    inner = expression.get_children()
    return isinstance(expression, sa.ScalarSelect) or any(map(_selects_uncorrelated, inner))


def _computed_problem(model: Any, name: str, operation: Operation) -> str:
    """Why the response cannot have the computed member; empty if it can."""
    expression = getattr(sa.inspect(model).attrs.get(name), "expression", None)
    if operation.response_kind == "returns" or expression is None:
        return ""
    needs = _selects_uncorrelated(expression)
    return f"{model.__name__} computes it by a SELECT, which needs correlated(…)" if needs else ""


def _mismatches(model: Any, schema: Schema, operation: Operation) -> Iterator[Mismatch]:
    columns, members = table_of(model).c, member_names(model)
    for name in schema.column_names:
        field = schema.dump_fields[name]
        if isinstance(field, Rows):
            takes = hasattr(model, name) and name not in sa.inspect(model).relationships
            if not (field.dump_only or takes):
                yield name, f"{model.__name__} needs a class attribute for it: ClassVar[Any] = ()"
        elif name not in members:
            yield name, f"{model.__name__} has no column or computed member of this name"
        elif (stored := _name_of_column(model, name)) not in (None, name):
            yield name, f"its column is {stored}, and a member has the name of its column"
        elif name not in columns and not field.dump_only:
            yield name, f"{model.__name__} computes it, so it needs dump_only=True"
        elif problem := (
            _type_problem(field, columns.get(name))
            or wrong_default(field, "default", _default(columns.get(name)))
            or _computed_problem(model, name, operation)
        ):
            yield name, problem
    body = operation.body.load_fields if operation.body else {}
    for name, field in body.items():
        column = columns.get(name)
        if column is None:
            continue
        referred = {key.column.table for key in column.foreign_keys}
        if isinstance(field, Reference) and table_of(field.model) not in referred:
            yield name, f"its column has no foreign key to {table_of(field.model).name}"
        if problem := too_narrow(field, column.type):
            yield name, problem
        if field.allow_none and not column.nullable:
            yield name, "it may be null, but its column may not"
        given = column.nullable or column.default or column.server_default or field.required
        if operation.response_kind == "creates" and not given and field.load_default is ma.missing:
            yield name, "it is not required, but its column has no default and may not be null"

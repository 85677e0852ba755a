"""Child rows: a member that is a list of objects, each of which is a row of another table.

A correlated JSON aggregate reads them in the statement of their parent. They are written in its
transaction and covered by its version, so nothing else may write them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import marshmallow as ma
import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.core.database.bulk import by_columns
from app.core.database.types import correlated
from app.core.openapi.operation import DeclarationError
from app.core.resources.audit_values import decimal_as_text, value_converter
from app.core.resources.statements import select_many, table_of
from app.core.schemas.base import Schema
from app.core.web.database_errors import constraint_problem
from app.core.web.problems import Problem
from app.extensions import db


class Rows(ma.fields.List[Any]):
    """The child rows of a row, in the order in which they were sent.

    The table has an integer column `position`, which this module sets. The model of the parent has
    an attribute with the name of the member, for its constructor: `items: ClassVar[Any] = ()`.

    Args:
        schema: of one child.
        parent_key: the column of the child that refers to its parent; deletions cascade.
        max_length: how many children a parent has at most.

    Raises:
        DeclarationError: the table lacks `position` or a column of the schema, or its rows
            are not deleted with their parent, or `parent_key` is no column of a model.
    """

    def __init__(
        self, schema: type[Schema], parent_key: Any, *, max_length: int, **kwargs: Any
    ) -> None:
        if not isinstance(parent_key, InstrumentedAttribute):
            text = f"parent_key={parent_key!r} is no column of a model, such as Step.recipe_id"
            raise DeclarationError(schema if isinstance(schema, type) else parent_key, text)
        model: Any = parent_key.class_
        length = ma.validate.Length(max=max_length)
        super().__init__(ma.fields.Nested(schema), validate=length, **kwargs)
        self.parent_key = parent_key
        self.table = table_of(model)
        if "position" not in self.table.c:
            raise DeclarationError(model, "child rows need a column 'position'")
        self.names = schema().column_names
        for name in self.names:
            if name not in self.table.c:
                text = f"{self.table.name} has no column of this name"
                raise DeclarationError(schema, text, member=name)
        if not any(key.ondelete == "CASCADE" for key in self.table.c[parent_key.key].foreign_keys):
            text = "the foreign key of child rows needs ondelete='CASCADE'"
            raise DeclarationError(model, text, member=parent_key.key)

    def column(self, model: type[Any]) -> sa.ColumnElement[Any]:
        """The children of a row of the model, as a column of a SELECT or RETURNING."""
        table, key = self.table, self.table.c[self.parent_key.key]
        columns = [table.c.position, *(table.c[name] for name in self.names)]
        children = sa.select(_JsonRows(*columns)).where(key == table_of(model).c.id)
        rows = correlated(children, table_of(model), _ChildRows(table, self.names))
        return rows.label(self.name)


class _JsonRows(FunctionElement[Any]):
    """A JSON array of arrays, one for each row."""

    type = sa.JSON()
    inherit_cache = True


@compiles(_JsonRows, "postgresql")
def _json_rows_postgresql(element: Any, compiler: SQLCompiler, **kwargs: Any) -> str:
    columns = [compiler.process(decimal_as_text(each), **kwargs) for each in element.clauses]
    return f"coalesce(json_agg(json_build_array({', '.join(columns)})), '[]'::json)"


@compiles(_JsonRows)
def _json_rows_sqlite(element: Any, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **kwargs)}))"


class _ChildRows(sa.TypeDecorator[list[dict[str, Any]]]):
    """Converts what `_JsonRows` returns into objects of columns, with values as in a row."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, table: sa.Table, names: tuple[str, ...]) -> None:
        super().__init__()
        self.table, self.names = table, names

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> list[dict[str, Any]] | None:
        if value is None:
            return None
        converters = _converters(self.table, self.names, dialect)
        return [
            {name: convert(each) for (name, convert), each in zip(converters, row[1:], strict=True)}
            for row in sorted(value, key=lambda row: row[0])
        ]


@lru_cache(maxsize=256)
def _converters(
    table: sa.Table, names: tuple[str, ...], dialect: sa.Dialect
) -> list[tuple[str, Callable[[Any], Any]]]:
    """How values of a JSON array become those that a SELECT of the columns returns."""

    def converter(name: str) -> Callable[[Any], Any]:
        if dialect.name == "postgresql":
            convert = value_converter(table, name)
            return lambda value: None if value is None else convert(value)
        # SQLite has no types of its own for them: JSON has the stored text or number.
        impl = table.c[name].type.dialect_impl(dialect)
        return impl.result_processor(dialect, None) or (lambda value: value)

    return [(name, converter(name)) for name in names]


@lru_cache(maxsize=256)
def row_fields(schema: Schema) -> Mapping[str, Rows]:
    """The members of a schema that are child rows."""
    return {name: field for name, field in schema.fields.items() if isinstance(field, Rows)}


def replace_children(
    model: Any,
    rows: Sequence[sa.Row[Any]],
    values: Sequence[Mapping[str, Any]],
    schema: Schema,
    *,
    are_new: bool = False,
) -> list[sa.Row[Any]]:
    """Replace the child rows of rows in their transaction, with one insert for all of them.

    Args:
        rows: as the schema selects them.
        values: those that each row is written with; without a member its children stay.
        are_new: the rows have no children yet.

    Returns:
        The rows as they are stored then.

    Raises:
        Problem: 409 or 422, naming the child that violates a constraint.
    """
    changed: set[UUID] = set()
    for name, field in row_fields(schema).items():
        lists = {row.id: new[name] for row, new in zip(rows, values, strict=True) if name in new}
        changed |= lists.keys()
        key = field.table.c[field.parent_key.key]
        if lists and not are_new:
            db.session.connection().execute(sa.delete(field.table).where(key.in_(lists)))
        children = [
            (f"#/{name}/{n}", {**child, key.name: parent_id, "position": n})
            for parent_id, each in lists.items()
            for n, child in enumerate(each)
        ]
        if children:
            _insert(field.table, children)
    if not changed:
        return list(rows)
    statement, binds = select_many(model, schema), {"item_ids": list(changed)}
    stored = {row.id: row for row in db.session.connection().execute(statement, binds)}
    return [stored.get(row.id, row) for row in rows]


def _insert(table: sa.Table, rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
    connection = db.session.connection()
    try:
        with connection.begin_nested():
            for alike in by_columns(row for _, row in rows):
                connection.execute(sa.insert(table), alike)
    except (IntegrityError, DataError):
        # The database does not say which row it was.
        for pointer, row in rows:
            try:
                with connection.begin_nested():
                    connection.execute(sa.insert(table), row)
            except (IntegrityError, DataError) as error:
                problem = constraint_problem(error)
                detail, errors = str(problem.description), problem.errors_below(pointer)
                raise Problem(problem.kind.slug, detail, errors=errors) from error
        raise

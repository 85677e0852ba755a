"""Migrations that `flask db revision` writes: for both databases, numbered, by feature.

`migrations/env.py` passes the two public functions to Alembic.
docs/decisions.md#54-migrations-by-feature
"""

import ast
import re
from collections.abc import Mapping
from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from alembic.operations import ops
from alembic.util import CommandError, PriorityDispatchResult
from flask import current_app
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.exc import CompileError
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.elements import UnaryExpression

from app.extensions import Base

# With `named`, a % in SQL is not doubled: that is done when the migration runs.
POSTGRESQL: sa.Dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
SQLITE: sa.Dialect = SQLiteDialect(paramstyle="named")
DIALECTS = (POSTGRESQL, SQLITE)
CONTEXTS = [MigrationContext.configure(dialect=dialect) for dialect in DIALECTS]


def render_item(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Return the source of a type, or of a CHECK or server default, for both databases.

    Returns:
        False where the source that Alembic writes is right.

    Raises:
        CommandError: a type does not exist on both databases.
    """
    if kind == "type":
        return _render_type(item, context)
    if kind == "server_default" and isinstance(getattr(item, "arg", None), sa.ClauseElement):
        return _render_sql(item.arg, is_server_default=True)
    if kind == "check" and re.search(r"%| if postgresql", sql := _render_sql(item.sqltext)):
        return f"sa.CheckConstraint({sql}, name=op.f({str(item.name)!r}))"
    return False


def _render_type(type_: Any, context: AutogenContext) -> str:
    """Types of SQLAlchemy only: a migration does not change with the code of the application."""
    try:
        plain, on_sqlite = (_plain_type(type_, dialect) for dialect in DIALECTS)
        if plain.compile(dialect=SQLITE) == on_sqlite.compile(dialect=SQLITE):
            return _source(plain, context)
    except (CompileError, NotImplementedError) as error:
        raise CommandError(f"{type_!r} cannot be written for both databases: {error}") from error
    return f"{_source(plain, context)}.with_variant({_source(on_sqlite, context)}, 'sqlite')"


def _plain_type(type_: Any, dialect: sa.Dialect) -> Any:
    """The type without decorators and variants, and generic if the DDL is the same."""
    impl = type_.dialect_impl(dialect)
    while isinstance(impl, sa.TypeDecorator):
        impl = impl.impl_instance
    generic = impl.as_generic()
    same = generic.compile(dialect=dialect) == impl.compile(dialect=dialect)
    return generic if same else impl


def _source(type_: Any, context: AutogenContext) -> str:
    tree = ast.parse(repr(type_), mode="eval")
    dialect = re.match(r"sqlalchemy\.dialects\.(\w+)", type(type_).__module__)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):  # without the private options of copies
            node.keywords = [each for each in node.keywords if not str(each.arg).startswith("_")]
        elif isinstance(node, ast.Name) and hasattr(sa, node.id):
            node.id = f"sa.{node.id}"
        elif isinstance(node, ast.Name) and dialect:
            module = f"{dialect[1]}_types"
            node.id = f"{module}.{node.id}"
            context.imports.add(f"from sqlalchemy.dialects import {dialect[1]} as {module}")
    return ast.unparse(tree)


def _render_sql(expression: Any, **kind: bool) -> str:
    postgresql, sqlite = (each.impl.render_ddl_sql_expr(expression, **kind) for each in CONTEXTS)
    texts = sorted((postgresql, sqlite), key=len)
    if texts[1] in (texts[0], f"({texts[0]})"):
        return f"sa.literal_column({texts[1]!r})"
    return f"sa.literal_column({postgresql!r} if postgresql else {sqlite!r})"


@renderers.dispatch_for(ops.CreateIndexOp, replace=True)
def _render_index(context: AutogenContext, op: ops.CreateIndexOp) -> list[str]:
    """The call that creates an index; expressions are written for both databases."""
    index = op.to_index()
    keys = [
        repr(str(key.name)) if isinstance(key, sa.Column) else _render_sql(key, is_index=True)
        for key in index.expressions
    ]
    options = ["unique=True"] if op.unique else []
    for name, value in index.dialect_kwargs.items():
        if hasattr(value, "__clause_element__"):  # an attribute of a model
            value = value.__clause_element__()
        source = _render_sql(value) if isinstance(value, sa.ClauseElement) else repr(value)
        options.append(f"{name}={source}")
    if op.if_not_exists:
        options.append("if_not_exists=True")
    arguments = [repr(str(op.index_name)), repr(op.table_name), f"[{', '.join(keys)}]", *options]
    call = f"op.create_index({', '.join(arguments)})"
    model = indexes_of_models(op.table_name).get(str(op.index_name))
    if op.info.get("dialect") or (model is not None and model.info.get("dialect")):
        return ["if postgresql:", call, ""]
    return [call]


@comparators.dispatch_for("table")
def _compare_indexes(
    context: AutogenContext, changes: ops.ModifyTableOps, _: Any, name: Any, reflected: Any,
    table: sa.Table | None,
) -> PriorityDispatchResult:  # fmt: skip
    """Compare the indexes that Alembic omits: over expressions on SQLite, of one database."""
    if table is None:
        return PriorityDispatchResult.CONTINUE
    sqlite = context.dialect.name == "sqlite"
    omitted = {
        str(index.name): index
        for index in table.indexes
        if index.info.get("dialect") or (sqlite and has_expression(index))
    }
    existing = {} if reflected is None else _omitted_by_reflection(context, omitted, table.name)
    for index_name in sorted(omitted.keys() - existing.keys()):
        changes.ops.append(ops.CreateIndexOp.from_index(omitted[index_name]))
    for index_name, sql in existing.items():
        index = omitted.get(index_name)
        if sql and (index is None or _normalized(CreateIndex(index)) != _normalized(sql)):
            raise CommandError(
                f"The index {index_name} differs from the models, and SQLite does not describe it"
                " for the downgrade: write this migration against PostgreSQL"
            )
    return PriorityDispatchResult.CONTINUE


def indexes_of_models(table: str) -> dict[str, sa.Index]:
    """Return the indexes that the model of a table declares, by name."""
    declared = Base.metadata.tables.get(table)
    return {} if declared is None else {str(index.name): index for index in declared.indexes}


def has_expression(index: sa.Index) -> bool:
    """Whether the index is over an expression, which SQLite does not describe."""
    keys = [key.element if isinstance(key, UnaryExpression) else key for key in index.expressions]
    return not all(isinstance(key, sa.Column) for key in keys)


def _omitted_by_reflection(
    context: AutogenContext, omitted: Mapping[str, sa.Index], table: str
) -> dict[str, str]:
    """The names of existing indexes, with their SQL where only that describes them."""
    reflected = {str(index["name"]) for index in context.inspector.get_indexes(table)}
    if context.dialect.name != "sqlite":
        return dict.fromkeys(reflected & omitted.keys(), "")
    # SQLite never has those of PostgreSQL: they exist if a migration names them.
    folders = current_app.extensions["migration_folders"]
    texts = [path.read_text() for folder in folders for path in folder.glob("*.py")]
    existing = {
        name: ""
        for name, index in omitted.items()
        if index.info.get("dialect") and any(f'"{name}"' in text for text in texts)
    }
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table"
    rows = context.connection.execute(sa.text(query), {"table": table})  # type: ignore[union-attr]
    return existing | {name: sql for name, sql in rows if sql and name not in reflected}


def _normalized(index: CreateIndex | str) -> str:
    sql = index if isinstance(index, str) else str(index.compile(dialect=SQLITE))
    return re.sub(r'[\s"()]', "", sql).lower()

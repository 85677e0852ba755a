"""The statements of the repository, each built once for its arguments and kept.

The arguments are constants of the resource: its scoped query, its schema, names of columns. So
SQLAlchemy builds a statement, and `app.core.database.prepared` compiles it, at its first use only.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.core.files.uploads import StoredUpload
from app.core.resources.audit_values import recorded_columns, sql_object
from app.core.resources.single_statement import AuditedWrite
from app.core.schemas.base import Schema

ITEM_ID_PARAM = sa.bindparam("item_id", type_=sa.Uuid())  # the id at the end of the path
ITEM_IDS_PARAM = sa.bindparam("item_ids", type_=sa.Uuid(), expanding=True)
_EXPECTED_VERSION_PARAM = sa.bindparam("expected_version", type_=sa.Integer())
# BIGINT, because the numbers in an If-Match are the client's.
_VERSIONS_PARAM = sa.bindparam("versions", type_=sa.ARRAY(sa.BigInteger))


class Selection(NamedTuple):
    """Which row of a scoped query: the one with the id, or its only one; and its columns."""

    scoped: sa.Select[Any]
    by_id: bool
    schema: Schema
    session_is_valid: sa.ColumnElement[bool] | None = None  # a further condition

    @property
    def model(self) -> type[Any]:
        """The model of the rows."""
        return model_of(self.scoped)


@lru_cache(maxsize=256)
def model_of(scoped: sa.Select[Any]) -> type[Any]:
    """The model of the rows of a scoped query."""
    model: type[Any] = scoped.column_descriptions[0]["entity"]
    return model


def table_of(model: type[Any]) -> sa.Table:
    """The table of a model."""
    table: sa.Table = model.__table__
    return table


def column_of(model: type[Any], name: str) -> sa.Column[Any]:
    """A column of the table of a model, for values that a view has returned.

    Raises:
        LookupError: there is none; names model and column.
    """
    if name not in table_of(model).c:
        raise LookupError(f"{model.__name__} has no column {name!r}")
    return table_of(model).c[name]


def returned_columns(model: type[Any], schema: Schema) -> list[Any]:
    """The columns of the schema, then id and version if it does not have them."""
    more = [name for name in ("id", "version") if name not in schema.column_names]
    return schema.columns(model) + [getattr(model, name) for name in more]


def reads_other_tables(model: Any, schema: Schema) -> bool:
    """Whether a member of the schema is no column, but an expression."""
    return any(name not in table_of(model).c for name in schema.column_names)


@lru_cache(maxsize=256)
def select_one(selection: Selection) -> sa.Select[Any]:
    """One row."""
    scoped, by_id, schema, session_is_valid = selection
    statement = scoped.with_only_columns(*returned_columns(selection.model, schema))
    if by_id:
        statement = statement.where(selection.model.id == ITEM_ID_PARAM)
    return statement if session_is_valid is None else statement.where(session_is_valid)


@lru_cache(maxsize=256)
def select_many(model: Any, schema: Schema) -> sa.Select[Any]:
    """Rows by `item_ids`."""
    return sa.select(*returned_columns(model, schema)).where(model.id.in_(ITEM_IDS_PARAM))


@lru_cache(maxsize=256)
def lock_one(selection: Selection) -> sa.Select[Any]:
    """One row, locked until the transaction ends; after the selected columns all others."""
    statement = select_one(selection)
    selected = {column.key for column in statement.selected_columns}
    others = [column for column in table_of(selection.model).c if column.key not in selected]
    return statement.add_columns(*others).with_for_update(of=selection.model)


@lru_cache(maxsize=256)
def lock_many(selection: Selection) -> sa.Select[Any]:
    """Rows by `item_ids`, locked in the order of their ids."""
    ids = selection.model.id
    statement = select_one(selection).where(ids.in_(ITEM_IDS_PARAM)).order_by(ids)
    return statement.with_for_update(of=selection.model)


@lru_cache(maxsize=256)
def one_row_where(condition: sa.ColumnElement[bool] | None) -> sa.Select[Any]:
    """A source for `insert_one`: one row if the condition is true, else none."""
    return sa.select() if condition is None else sa.select().where(condition)


@lru_cache(maxsize=256)
def lock_parent(
    parents: sa.Select[Any], condition: sa.ColumnElement[bool] | None
) -> sa.Select[Any]:
    """A source for `insert_one`: one row if the parent is in its scoped query, else none."""
    # Locked until the commit, so that the parent cannot be deleted between here and the insert.
    model = model_of(parents)
    parent = parents.with_only_columns(model.id).where(model.id == ITEM_ID_PARAM)
    locked = parent.with_for_update(read=True, key_share=True, of=model).subquery("parent")
    source = sa.select(locked.c.id).select_from(locked)
    return source if condition is None else source.where(condition)


@lru_cache(maxsize=256)
def insert_one(
    model: type[Any], names: tuple[str, ...], schema: Schema, source: sa.Select[Any]
) -> AuditedWrite:
    """Insert one row, its values from `new_` parameters, if the source has a row."""
    table = table_of(model)
    values = [sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names]
    insert = sa.insert(table).from_select(
        names, source.with_only_columns(*values), include_defaults=False
    )
    statement = insert.returning(*returned_columns(model, schema))
    written = statement.cte("written")
    after = sql_object(written.c, schema.column_names)
    return AuditedWrite("create", table.name, statement, written, after=after)


@lru_cache(maxsize=256)
def insert_many(model: type[Any], schema: Schema) -> Any:
    """Insert rows."""
    return sa.insert(table_of(model)).returning(*returned_columns(model, schema))


@lru_cache(maxsize=256)
def _current_row(selection: Selection, check_version: bool) -> sa.CTE:
    """The row before the write, which changes this version or nothing."""
    statement = select_one(selection)
    if check_version:
        condition = selection.model.version == sa.func.any(_VERSIONS_PARAM)
        statement = statement.where(condition)
    return statement.cte("current_row")


def _update(model: type[Any], names: tuple[str, ...]) -> sa.Update:
    # The version is raised by the column itself: `ResourceMixin`.
    set_ = (*names, "updated_at")
    return sa.update(table_of(model)).values(
        {name: sa.bindparam(f"new_{name}", type_=column_of(model, name).type) for name in set_}
    )


@lru_cache(maxsize=256)
def update_one(selection: Selection, check_version: bool, names: tuple[str, ...]) -> AuditedWrite:
    """Set columns of one row from `new_` parameters."""
    model, schema = selection.model, selection.schema
    current, columns = _current_row(selection, check_version), table_of(model).c
    # Without FOR UPDATE: if the version was raised meanwhile, nothing is written, and the caller
    # locks the row to find out why: docs/decisions.md#2-optimistic-locking
    statement = _update(model, names).where(
        columns.id == current.c.id, columns.version == current.c.version
    )
    statement = statement.returning(*returned_columns(model, schema))
    written, recorded = statement.cte("written"), recorded_columns(schema, names)
    before, after = sql_object(current.c, recorded), sql_object(written.c, recorded)
    return AuditedWrite("update", table_of(model).name, statement, written, before, after)


@lru_cache(maxsize=256)
def update_locked(model: type[Any], names: tuple[str, ...], schema: Schema) -> sa.Update:
    """Set columns of the row with an id and a version."""
    columns = table_of(model).c
    statement = _update(model, names).where(
        columns.id == ITEM_ID_PARAM, columns.version == _EXPECTED_VERSION_PARAM
    )
    return statement.returning(*returned_columns(model, schema))


@lru_cache(maxsize=256)
def update_many(model: type[Any], names: tuple[str, ...]) -> sa.Update:
    """Set columns of the row with an id, for many rows in turn."""
    return _update(model, names).where(table_of(model).c.id == ITEM_ID_PARAM)


def delete_upload(written: Any) -> sa.Delete:
    """Delete the stored files of the rows that a CTE has deleted."""
    return sa.delete(StoredUpload).where(StoredUpload.id.in_(sa.select(written.c.id)))


@lru_cache(maxsize=256)
def delete_one(selection: Selection, check_version: bool) -> AuditedWrite:
    """Delete one row."""
    table, current = table_of(selection.model), _current_row(selection, check_version)
    unchanged = (table.c.id == current.c.id, table.c.version == current.c.version)
    statement = sa.delete(table).where(*unchanged).returning(table.c.id)
    written = statement.cte("written")
    before = sql_object(current.c, selection.schema.column_names)
    return AuditedWrite("delete", table.name, statement, written, before=before)

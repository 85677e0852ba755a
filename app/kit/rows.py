"""Rows in and out of tables, one statement each; statements are built once and kept.

A *visible select* (`Task.visible_to(caller)`) is the set of rows a caller may see or change. It is
one constant object per kind of caller, so it serves as the key of the statements made from it.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Delete,
    Row,
    Select,
    Table,
    Update,
    Uuid,
    bindparam,
    delete,
    insert,
    inspect,
    literal,
    update,
)

from app.extensions import db
from app.kit import access, database
from app.kit.model import Resource, now
from app.kit.problems import Problem
from app.kit.schema import Schema

Visible = Select[Any]

_ITEM_ID = bindparam("item_id", type_=Uuid())


def model_of(visible: Visible) -> type[Any]:
    """The model whose rows a visible select selects."""
    model: type[Any] = visible.column_descriptions[0]["entity"]
    return model


def find(visible: Visible, item_id: UUID | None, schema: Schema) -> Row[Any]:
    """The row of that id, or the only one; with the columns of the schema and the version.

    Raises:
        Problem: 404, it does not exist or the caller may not see it: the same answer. 401, the
            caller's session has ended.
    """
    statement = _select_item(visible, item_id is not None, schema, access.is_alive())
    rows = database.read(statement, _binds(item_id))
    if not rows:
        access.require_alive()
        raise Problem("not-found")
    return rows[0]


def add(instance: Resource, schema: Schema) -> Row[Any]:
    """Insert a new model instance; the stored row, in one round trip."""
    values = {k: v for k, v in vars(instance).items() if k != "_sa_instance_state"}
    statement = _insert(type(instance), schema)  # type: ignore[arg-type]
    return db.session.connection().execute(statement, values).one()


def change(
    visible: Visible,
    item_id: UUID | None,
    values: Mapping[str, Any],
    versions: frozenset[int] | None,
    schema: Schema,
) -> Row[Any]:
    """Change one row if it still has one of the versions; the check is part of the UPDATE.

    Args:
        values: new values by column; SQL expressions are allowed. None given: nothing changes.

    Raises:
        Problem: 404, or 412 where the row has another version.
    """
    if not values:
        row = find(visible, item_id, schema)
        if versions is not None and row.version not in versions:
            raise Problem("precondition-failed")
        return row
    plain = {k: v for k, v in values.items() if not isinstance(v, ColumnElement)}
    statement = _update(visible, item_id is not None, versions is None, tuple(plain), schema)
    if computed := {k: v for k, v in values.items() if k not in plain}:
        statement = statement.values(computed)
    binds = {f"new_{name}": value for name, value in plain.items()}
    binds |= {"new_updated_at": now(), **_binds(item_id, versions)}
    changed = db.session.connection().execute(statement, binds).first()
    if changed is None:
        raise _missed(visible, item_id)
    return changed


def remove(visible: Visible, item_id: UUID | None, versions: frozenset[int] | None) -> None:
    """Delete one row if it still has one of the versions.

    Raises:
        Problem: 404, or 412 where the row has another version.
    """
    statement = _delete(visible, item_id is not None, versions is None)
    result = db.session.connection().execute(statement, _binds(item_id, versions))
    if result.rowcount == 0:
        raise _missed(visible, item_id)


def _missed(visible: Visible, item_id: UUID | None) -> Problem:
    """Why a change met no row. Asked afterwards, so that the usual case costs nothing."""
    statement = _exists(visible, item_id is not None)
    found = db.session.connection().execute(statement, _binds(item_id)).first()
    return Problem("precondition-failed" if found else "not-found")


def _binds(item_id: UUID | None, versions: frozenset[int] | None = None) -> dict[str, Any]:
    binds: dict[str, Any] = {"item_id": item_id, **access.binds()}
    if versions is not None:
        binds["versions"] = tuple(versions)
    return binds


def _conditions(visible: Visible, by_id: bool) -> list[ColumnElement[bool]]:
    conditions = [] if visible.whereclause is None else [visible.whereclause]
    return [*conditions, model_of(visible).id == _ITEM_ID] if by_id else conditions


def _columns(model: type[Any], schema: Schema) -> list[Any]:
    """The schema's columns, and the version for the ETag where they lack it."""
    return schema.columns(model) + ([] if "version" in schema.names else [model.version])


@lru_cache(maxsize=256)
def _select_item(
    visible: Visible, by_id: bool, schema: Schema, alive: ColumnElement[bool] | None
) -> Select[Any]:
    model = model_of(visible)
    statement = visible.with_only_columns(*_columns(model, schema))
    if by_id:
        statement = statement.where(model.id == _ITEM_ID)
    return statement if alive is None else statement.where(alive)


@lru_cache(maxsize=256)
def _exists(visible: Visible, by_id: bool) -> Select[Any]:
    found = visible.with_only_columns(literal(1))
    return found.where(model_of(visible).id == _ITEM_ID) if by_id else found


@lru_cache(maxsize=256)
def _insert(model: type[Resource], schema: Schema) -> Any:
    table: Table = inspect(model).local_table
    return insert(table).returning(*_columns(model, schema))


@lru_cache(maxsize=256)
def _update(
    visible: Visible, by_id: bool, any_version: bool, names: tuple[str, ...], schema: Schema
) -> Update:
    model = model_of(visible)
    columns = model.__table__.c
    new = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in names}
    new["updated_at"] = bindparam("new_updated_at", type_=columns.updated_at.type)
    statement = update(model.__table__).where(*_conditions(visible, by_id))
    if not any_version:
        statement = statement.where(columns.version.in_(bindparam("versions", expanding=True)))
    statement = statement.values(new | {"version": columns.version + 1})
    return statement.returning(*_columns(model, schema))


@lru_cache(maxsize=256)
def _delete(visible: Visible, by_id: bool, any_version: bool) -> Delete:
    model = model_of(visible)
    statement = delete(model.__table__).where(*_conditions(visible, by_id))
    if any_version:
        return statement
    return statement.where(model.version.in_(bindparam("versions", expanding=True)))

"""Rows in and out of tables, one statement each; statements are built once and kept.

A *visible select* (`Task.visible_to(caller)`) is the set of rows a caller may see or change. It is
one constant object per kind of caller, so it serves as the key of the statements made from it.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Delete,
    Integer,
    Row,
    Select,
    Table,
    Update,
    Uuid,
    bindparam,
    cast,
    func,
    tuple_,
)

from app.core.database import execute, single_statement
from app.core.database.ids import uuid7
from app.core.database.mixins import ResourceMixin
from app.core.database.types import now
from app.core.resources.audit_log import Change, SqlExpressionFactory, change_rows, log_change
from app.core.resources.json_sql import changed_columns_as_json, row_as_json
from app.core.schemas.base import Schema
from app.core.security import authorization
from app.core.web.problems import Problem
from app.extensions import db

ScopedSelect = Select[Any]

# In a select that is kept as a constant, this stands for the id at the end of the path.
ITEM_ID_PARAM = bindparam("item_id", type_=Uuid())
_ITEM_IDS_PARAM = bindparam("item_ids", type_=Uuid(), expanding=True)
_EXPECTED_VERSION_PARAM = bindparam("seen", type_=Integer())
_VERSIONS_PARAM = bindparam("versions", type_=ARRAY(BigInteger))  # callers may name any number


@lru_cache(maxsize=256)
def model_of(visible: ScopedSelect) -> type[Any]:
    """The model whose rows a visible select selects."""
    model: type[Any] = visible.column_descriptions[0]["entity"]
    return model


def get(visible: ScopedSelect, item_id: UUID | None, schema: Schema) -> Row[Any]:
    """The row of that id, or the only one; with the columns of the schema and the version.

    Raises:
        Problem: 404, it does not exist or the caller may not see it: the same answer. 401, the
            caller's session has ended.
    """
    statement = _select_item(
        visible, item_id is not None, schema, authorization.session_is_valid_clause()
    )
    rows = execute.fetch_autocommit(statement, _binds(item_id))
    if not rows:
        authorization.require_valid_session()
        raise Problem("not-found")
    found: Row[Any] = rows[0]
    return found


def create(instance: ResourceMixin, schema: Schema) -> Row[Any]:
    """Insert a new model instance; the stored row, in one round trip.

    Raises:
        Problem: 401, the caller's session has ended.
    """
    model = type(instance)
    values = column_defaults(model) | _values(instance)
    binds = {f"new_{name}": value for name, value in values.items()} | authorization.caller_params()
    if execute.can_autocommit():
        statement = _insert_one_statement(
            model,  # type: ignore[arg-type]
            tuple(values),
            schema,
            authorization.session_is_valid_clause(),
        )
        is_now = schema.row_to_dict([values.get(name) for name in schema.column_names])
        told = change_rows(Change("create", _table(model).name, values["id"], None, is_now))
        found = single_statement.execute_with_audit_autocommit(statement, binds, told)
        if not found:
            raise authorization.invalid_token_problem()
    else:
        authorization.require_valid_session()
        statement = _insert_one_statement(model, tuple(values), schema, None)  # type: ignore[arg-type]
        found = execute.execute_in_transaction(statement, binds)
        log_change("create", _table(model).name, values["id"], after=schema.row_to_dict(found[0]))
    stored: Row[Any] = found[0]
    return stored


def create_many(instances: Sequence[ResourceMixin], schema: Schema) -> list[Row[Any]]:
    """Insert new instances of one model; the stored rows, in order.

    That is one statement for each set of columns that some of the instances fill.
    """
    model = type(instances[0])
    all_values: list[dict[str, Any]] = [{"id": uuid7()} | _values(each) for each in instances]
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for values in all_values:
        alike.setdefault(frozenset(values), []).append(values)
    statement = _insert_statement(model, schema)  # type: ignore[arg-type]
    connection = db.session.connection()
    stored = {row.id: row for many in alike.values() for row in connection.execute(statement, many)}
    found = [stored[values["id"]] for values in all_values]
    for row in found:
        log_change("create", _table(model).name, row.id, after=schema.row_to_dict(row))
    return found


def column_defaults(model: type[Any]) -> dict[str, Any]:
    """What SQLAlchemy would fill in for columns that are not given."""
    moment = now()
    made = {
        name: default(None) if callable(default) else default
        for name, default in _default_values(model)  # type: ignore[arg-type]
    }
    return {"id": uuid7(), "created_at": moment, "updated_at": moment, **made}


@cache
def _default_values(model: type[Any]) -> list[tuple[str, Any]]:
    made = ("id", "created_at", "updated_at")
    defaults = ((c.name, c.default) for c in _table(model).c if c.default and c.name not in made)
    return [(name, default.arg) for name, default in defaults]  # type: ignore[attr-defined]


def _values(instance: ResourceMixin) -> dict[str, Any]:
    columns = _table(type(instance)).c
    return {name: value for name, value in vars(instance).items() if name in columns}


def update(
    visible: ScopedSelect,
    item_id: UUID | None,
    values: Mapping[str, Any],
    versions: frozenset[int] | None,
    schema: Schema,
) -> Row[Any]:
    """Change one row if it still has one of the versions; the check is part of the UPDATE too.

    Args:
        values: new values by column; SQL expressions are allowed. None given: nothing changes.

    Raises:
        Problem: 404, or 412 where the row has another version; 401, the caller's session has ended.
    """
    model = model_of(visible)
    plain = not any(isinstance(v, ColumnElement) for v in values.values())
    if values and plain and execute.can_autocommit():
        seen = _current_row(
            visible,
            item_id is not None,
            versions is not None,
            schema,
            authorization.session_is_valid_clause(),
        )
        statement, was, is_now = _update_current_row(model, tuple(values), schema, seen)  # type: ignore[arg-type]
        told = change_rows(Change("update", _table(model).name, _id, was, is_now))
        binds = _new_values(values) | _binds(item_id) | {"versions": list(versions or ())}
        after: Row[Any]
        for after in single_statement.execute_with_audit_autocommit(statement, binds, told):
            return after
    # There was no such row, or it was overtaken; this way finds out.
    before = _lock(visible, item_id, versions, schema)
    return update_locked(model, before, values, schema)


def _new_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()} | {"new_updated_at": now()}


def update_locked(
    model: type[Any], before: Row[Any], values: Mapping[str, Any], schema: Schema
) -> Row[Any]:
    """Set values of one row that was locked as `before`; the row as it is then."""
    if not values:
        return before
    plain = {k: v for k, v in values.items() if not isinstance(v, ColumnElement)}
    statement = _update_statement(model, tuple(plain), schema)  # type: ignore[arg-type]
    binds = _new_values(plain) | {"item_id": before.id, "seen": before.version}
    if computed := {k: v for k, v in values.items() if k not in plain}:
        found = db.session.connection().execute(statement.values(computed), binds).all()
    else:
        found = execute.execute_in_transaction(statement, binds)
    if not found:
        raise Problem("precondition-failed")
    after = found[0]
    was, is_now = schema.row_to_dict(before), schema.row_to_dict(after)
    log_change("update", _table(model).name, after.id, before=was, after=is_now)
    return after


def delete(
    visible: ScopedSelect, item_id: UUID | None, versions: frozenset[int] | None, schema: Schema
) -> None:
    """Delete one row if it still has one of the versions.

    Raises:
        Problem: 404, or 412 where the row has another version; 401, the caller's session has ended.
    """
    model = model_of(visible)
    if execute.can_autocommit():
        seen = _current_row(
            visible,
            item_id is not None,
            versions is not None,
            schema,
            authorization.session_is_valid_clause(),
        )
        statement, was = _delete_current_row(model, schema, seen)  # type: ignore[arg-type]
        told = change_rows(Change("delete", _table(model).name, _id, was, None))
        binds = _binds(item_id) | {"versions": list(versions or ())}
        if single_statement.execute_with_audit_autocommit(statement, binds, told):
            return
    before = _lock(visible, item_id, versions, schema)
    binds = {"item_id": before.id, "seen": before.version}
    if not execute.execute_in_transaction(_delete_statement(model), binds):  # type: ignore[arg-type]
        raise Problem("precondition-failed")
    log_change("delete", _table(model).name, before.id, before=schema.row_to_dict(before))


def delete_locked(model: type[Any], before: Collection[Row[Any]], schema: Schema) -> None:
    """Delete rows that were locked, in one statement."""
    binds = {"item_ids": [row.id for row in before]}
    db.session.connection().execute(_delete_all(model), binds)  # type: ignore[arg-type]
    for row in before:
        log_change("delete", _table(model).name, row.id, before=schema.row_to_dict(row))


def lock_many(
    visible: ScopedSelect, item_ids: Collection[UUID], schema: Schema
) -> dict[UUID, Row[Any]]:
    """Those of the rows that exist and the caller may change, nobody else's to change till commit.

    They are locked in the order of their ids, so that two who want the same ones cannot each hold
    what the other waits for.
    """
    binds = {"item_ids": list(item_ids), **authorization.caller_params()}
    found = db.session.connection().execute(_select_to_lock_all(visible, schema), binds)
    return {row.id: row for row in found}


def delete_in_batches(model: type[Any], condition: ColumnElement[bool]) -> int:
    """Delete all rows that meet the condition, in short transactions; how many that were.

    Rows that somebody else has locked are left for the next time.
    """
    key = tuple(_table(model).primary_key)
    old = sa.select(*key).where(condition).limit(10_000).with_for_update(skip_locked=True)
    some = sa.delete(_table(model)).where(tuple_(*key).in_(old))
    purged = 0
    while count := db.session.connection().execute(some).rowcount:
        db.session.commit()
        purged += count
    return purged


def _lock(
    visible: ScopedSelect, item_id: UUID | None, versions: frozenset[int] | None, schema: Schema
) -> Row[Any]:
    """The row as it stands before it is changed, and nobody else's to change until we commit."""
    authorization.require_valid_session()
    found = execute.execute_in_transaction(
        _select_to_lock(visible, item_id is not None, schema), _binds(item_id)
    )
    if not found:
        raise Problem("not-found")
    if versions is not None and found[0].version not in versions:
        raise Problem("precondition-failed")
    row: Row[Any] = found[0]
    return row


def _binds(item_id: UUID | None) -> dict[str, Any]:
    return {"item_id": item_id, **authorization.caller_params()}


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


def _columns(model: type[Any], schema: Schema) -> list[Any]:
    """The schema's columns, and the version for the ETag where they lack it."""
    return schema.columns(model) + ([] if "version" in schema.column_names else [model.version])


@lru_cache(maxsize=256)
def _select_item(
    visible: ScopedSelect, by_id: bool, schema: Schema, alive: ColumnElement[bool] | None
) -> Select[Any]:
    model = model_of(visible)
    statement = visible.with_only_columns(*_columns(model, schema))
    if by_id:
        statement = statement.where(model.id == ITEM_ID_PARAM)
    return statement if alive is None else statement.where(alive)


@lru_cache(maxsize=256)
def _select_to_lock(visible: ScopedSelect, by_id: bool, schema: Schema) -> Select[Any]:
    return _select_item(visible, by_id, schema, None).with_for_update()


@lru_cache(maxsize=256)
def _select_to_lock_all(visible: ScopedSelect, schema: Schema) -> Select[Any]:
    model = model_of(visible)
    statement = _select_item(visible, False, schema, None).where(model.id.in_(_ITEM_IDS_PARAM))
    return statement.order_by(model.id).with_for_update()


@lru_cache(maxsize=256)
def _insert_statement(model: type[ResourceMixin], schema: Schema) -> Any:
    return sa.insert(_table(model)).returning(*_columns(model, schema))


@lru_cache(maxsize=256)
def _insert_one_statement(
    model: type[ResourceMixin],
    names: tuple[str, ...],
    schema: Schema,
    alive: ColumnElement[bool] | None,
) -> Any:
    columns = _table(model).c
    new = [bindparam(f"new_{name}", type_=columns[name].type) for name in names]
    statement = sa.insert(_table(model))
    if alive is None:
        statement = statement.values(dict(zip(names, new, strict=True)))
    else:
        values = sa.select(*[cast(value, value.type) for value in new]).where(alive)
        statement = statement.from_select(names, values, include_defaults=False)
    return statement.returning(*_columns(model, schema))


@lru_cache(maxsize=256)
def _update_statement(model: type[Any], names: tuple[str, ...], schema: Schema) -> Update:
    columns = _table(model).c
    statement = _set(model, names, schema)
    return statement.where(columns.id == ITEM_ID_PARAM, columns.version == _EXPECTED_VERSION_PARAM)


def _set(model: type[Any], names: tuple[str, ...], schema: Schema) -> Update:
    columns = _table(model).c
    new = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in names}
    new["updated_at"] = bindparam("new_updated_at", type_=columns.updated_at.type)
    statement = sa.update(_table(model)).values(new | {"version": columns.version + 1})
    return statement.returning(*_columns(model, schema))


def _id(written: CTE) -> ColumnElement[Any]:
    return written.c.id


@lru_cache(maxsize=256)
def _current_row(
    visible: ScopedSelect,
    by_id: bool,
    of_versions: bool,
    schema: Schema,
    alive: ColumnElement[bool] | None,
) -> CTE:
    """The row that is to be written, as it stands. It is written in this version, or not."""
    statement = _select_item(visible, by_id, schema, alive)
    if of_versions:
        statement = statement.where(model_of(visible).version == func.any(_VERSIONS_PARAM))
    return statement.cte("seen")


@lru_cache(maxsize=256)
def _update_current_row(
    model: type[Any], names: tuple[str, ...], schema: Schema, seen: CTE
) -> tuple[Any, SqlExpressionFactory, SqlExpressionFactory]:
    """The UPDATE, and what makes the members that it changes, as they were and as they are."""
    columns = _table(model).c
    statement = _set(model, names, schema)
    statement = statement.where(columns.id == seen.c.id, columns.version == seen.c.version)
    return (
        statement,
        lambda written: changed_columns_as_json(schema, names, seen.c, written.c),
        lambda written: changed_columns_as_json(schema, names, written.c, seen.c),
    )


@lru_cache(maxsize=256)
def _delete_current_row(
    model: type[Any], schema: Schema, seen: CTE
) -> tuple[Any, SqlExpressionFactory]:
    """The DELETE, and what makes the members of what it deletes."""
    columns = _table(model).c
    statement = sa.delete(_table(model))
    statement = statement.where(columns.id == seen.c.id, columns.version == seen.c.version)
    return statement.returning(columns.id), lambda _: row_as_json(schema, seen.c)


@lru_cache(maxsize=256)
def _delete_statement(model: type[Any]) -> Any:
    columns = _table(model).c
    statement = sa.delete(_table(model)).where(
        columns.id == ITEM_ID_PARAM, columns.version == _EXPECTED_VERSION_PARAM
    )
    return statement.returning(columns.id)


@lru_cache(maxsize=256)
def _delete_all(model: type[Any]) -> Delete:
    return sa.delete(_table(model)).where(_table(model).c.id.in_(_ITEM_IDS_PARAM))

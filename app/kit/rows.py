"""Rows in and out of tables, one statement each; statements are built once and kept.

A *visible select* (`Task.visible_to(caller)`) is the set of rows a caller may see or change. It is
one constant object per kind of caller, so it serves as the key of the statements made from it.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

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
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from app.extensions import db
from app.kit import access, database
from app.kit.changes import Change, Made, record, told_of
from app.kit.given import differing, whole
from app.kit.model import Resource, now, uuid7
from app.kit.problems import Problem
from app.kit.schema import Schema

Visible = Select[Any]

# In a select that is kept as a constant, this stands for the id at the end of the path.
ITEM_ID = bindparam("item_id", type_=Uuid())
_ITEM_IDS = bindparam("item_ids", type_=Uuid(), expanding=True)
_SEEN = bindparam("seen", type_=Integer())
_VERSIONS = bindparam("versions", type_=ARRAY(BigInteger))  # callers may name any number


@lru_cache(maxsize=256)
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
    found: Row[Any] = rows[0]
    return found


def add(instance: Resource, schema: Schema) -> Row[Any]:
    """Insert a new model instance; the stored row, in one round trip.

    Raises:
        Problem: 401, the caller's session has ended.
    """
    model = type(instance)
    values = defaults(model) | _values(instance)
    binds = {f"new_{name}": value for name, value in values.items()} | access.binds()
    if database.is_alone():
        statement = _insert_one(model, tuple(values), schema, access.is_alive())  # type: ignore[arg-type]
        is_now = schema.dump_row([values.get(name) for name in schema.names])
        told = told_of(Change("create", _table(model).name, values["id"], None, is_now))
        found = database.execute_alone(statement, binds, told)
        if not found:
            raise access.invalid_token()
    else:
        access.require_alive()
        statement = _insert_one(model, tuple(values), schema, None)  # type: ignore[arg-type]
        found = database.execute(statement, binds)
        record("create", _table(model).name, values["id"], after=schema.dump_row(found[0]))
    stored: Row[Any] = found[0]
    return stored


def add_all(instances: Sequence[Resource], schema: Schema) -> list[Row[Any]]:
    """Insert new instances of one model; the stored rows, in order.

    That is one statement for each set of columns that some of the instances fill.
    """
    model = type(instances[0])
    all_values: list[dict[str, Any]] = [{"id": uuid7()} | _values(each) for each in instances]
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for values in all_values:
        alike.setdefault(frozenset(values), []).append(values)
    statement = _insert(model, schema)  # type: ignore[arg-type]
    connection = db.session.connection()
    stored = {row.id: row for many in alike.values() for row in connection.execute(statement, many)}
    found = [stored[values["id"]] for values in all_values]
    for row in found:
        record("create", _table(model).name, row.id, after=schema.dump_row(row))
    return found


def defaults(model: type[Any]) -> dict[str, Any]:
    """What SQLAlchemy would fill in for columns that are not given."""
    moment = now()
    made = {name: default(None) if callable(default) else default for name, default in _own(model)}  # type: ignore[arg-type]
    return {"id": uuid7(), "created_at": moment, "updated_at": moment, **made}


@cache
def _own(model: type[Any]) -> list[tuple[str, Any]]:
    made = ("id", "created_at", "updated_at")
    defaults = ((c.name, c.default) for c in _table(model).c if c.default and c.name not in made)
    return [(name, default.arg) for name, default in defaults]  # type: ignore[attr-defined]


def _values(instance: Resource) -> dict[str, Any]:
    columns = _table(type(instance)).c
    return {name: value for name, value in vars(instance).items() if name in columns}


def change(
    visible: Visible,
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
    if values and plain and database.is_alone():
        seen = _seen(visible, item_id is not None, versions is not None, schema, access.is_alive())
        statement, was, is_now = _change_seen(model, tuple(values), schema, seen)  # type: ignore[arg-type]
        told = told_of(Change("change", _table(model).name, _id, was, is_now))
        binds = _new_values(values) | _binds(item_id) | {"versions": list(versions or ())}
        after: Row[Any]
        for after in database.execute_alone(statement, binds, told):
            return after
    # There was no such row, or it was overtaken; this way finds out.
    before = _lock(visible, item_id, versions, schema)
    return change_locked(model, before, values, schema)


def _new_values(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"new_{name}": value for name, value in values.items()} | {"new_updated_at": now()}


def change_locked(
    model: type[Any], before: Row[Any], values: Mapping[str, Any], schema: Schema
) -> Row[Any]:
    """Set values of one row that was locked as `before`; the row as it is then."""
    if not values:
        return before
    plain = {k: v for k, v in values.items() if not isinstance(v, ColumnElement)}
    statement = _update(model, tuple(plain), schema)  # type: ignore[arg-type]
    binds = _new_values(plain) | {"item_id": before.id, "seen": before.version}
    if computed := {k: v for k, v in values.items() if k not in plain}:
        found = db.session.connection().execute(statement.values(computed), binds).all()
    else:
        found = database.execute(statement, binds)
    if not found:
        raise Problem("precondition-failed")
    after = found[0]
    was, is_now = schema.dump_row(before), schema.dump_row(after)
    record("change", _table(model).name, after.id, before=was, after=is_now)
    return after


def remove(
    visible: Visible, item_id: UUID | None, versions: frozenset[int] | None, schema: Schema
) -> None:
    """Delete one row if it still has one of the versions.

    Raises:
        Problem: 404, or 412 where the row has another version; 401, the caller's session has ended.
    """
    model = model_of(visible)
    if database.is_alone():
        seen = _seen(visible, item_id is not None, versions is not None, schema, access.is_alive())
        statement, was = _delete_seen(model, schema, seen)  # type: ignore[arg-type]
        told = told_of(Change("delete", _table(model).name, _id, was, None))
        binds = _binds(item_id) | {"versions": list(versions or ())}
        if database.execute_alone(statement, binds, told):
            return
    before = _lock(visible, item_id, versions, schema)
    binds = {"item_id": before.id, "seen": before.version}
    if not database.execute(_delete(model), binds):  # type: ignore[arg-type]
        raise Problem("precondition-failed")
    record("delete", _table(model).name, before.id, before=schema.dump_row(before))


def remove_locked(model: type[Any], before: Collection[Row[Any]], schema: Schema) -> None:
    """Delete rows that were locked, in one statement."""
    binds = {"item_ids": [row.id for row in before]}
    db.session.connection().execute(_delete_all(model), binds)  # type: ignore[arg-type]
    for row in before:
        record("delete", _table(model).name, row.id, before=schema.dump_row(row))


def lock_all(visible: Visible, item_ids: Collection[UUID], schema: Schema) -> dict[UUID, Row[Any]]:
    """Those of the rows that exist and the caller may change, nobody else's to change till commit.

    They are locked in the order of their ids, so that two who want the same ones cannot each hold
    what the other waits for.
    """
    binds = {"item_ids": list(item_ids), **access.binds()}
    found = db.session.connection().execute(_select_to_lock_all(visible, schema), binds)
    return {row.id: row for row in found}


def purge(model: type[Any], condition: ColumnElement[bool]) -> int:
    """Delete all rows that meet the condition, in short transactions; how many that were.

    Rows that somebody else has locked are left for the next time.
    """
    key = tuple(_table(model).primary_key)
    old = select(*key).where(condition).limit(10_000).with_for_update(skip_locked=True)
    some = delete(_table(model)).where(tuple_(*key).in_(old))
    purged = 0
    while count := db.session.connection().execute(some).rowcount:
        db.session.commit()
        purged += count
    return purged


def _lock(
    visible: Visible, item_id: UUID | None, versions: frozenset[int] | None, schema: Schema
) -> Row[Any]:
    """The row as it stands before it is changed, and nobody else's to change until we commit."""
    access.require_alive()
    found = database.execute(_select_to_lock(visible, item_id is not None, schema), _binds(item_id))
    if not found:
        raise Problem("not-found")
    if versions is not None and found[0].version not in versions:
        raise Problem("precondition-failed")
    row: Row[Any] = found[0]
    return row


def _binds(item_id: UUID | None) -> dict[str, Any]:
    return {"item_id": item_id, **access.binds()}


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


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
        statement = statement.where(model.id == ITEM_ID)
    return statement if alive is None else statement.where(alive)


@lru_cache(maxsize=256)
def _select_to_lock(visible: Visible, by_id: bool, schema: Schema) -> Select[Any]:
    return _select_item(visible, by_id, schema, None).with_for_update()


@lru_cache(maxsize=256)
def _select_to_lock_all(visible: Visible, schema: Schema) -> Select[Any]:
    model = model_of(visible)
    statement = _select_item(visible, False, schema, None).where(model.id.in_(_ITEM_IDS))
    return statement.order_by(model.id).with_for_update()


@lru_cache(maxsize=256)
def _insert(model: type[Resource], schema: Schema) -> Any:
    return insert(_table(model)).returning(*_columns(model, schema))


@lru_cache(maxsize=256)
def _insert_one(
    model: type[Resource],
    names: tuple[str, ...],
    schema: Schema,
    alive: ColumnElement[bool] | None,
) -> Any:
    columns = _table(model).c
    new = [bindparam(f"new_{name}", type_=columns[name].type) for name in names]
    statement = insert(_table(model))
    if alive is None:
        statement = statement.values(dict(zip(names, new, strict=True)))
    else:
        values = select(*[cast(value, value.type) for value in new]).where(alive)
        statement = statement.from_select(names, values, include_defaults=False)
    return statement.returning(*_columns(model, schema))


@lru_cache(maxsize=256)
def _update(model: type[Any], names: tuple[str, ...], schema: Schema) -> Update:
    columns = _table(model).c
    statement = _set(model, names, schema)
    return statement.where(columns.id == ITEM_ID, columns.version == _SEEN)


def _set(model: type[Any], names: tuple[str, ...], schema: Schema) -> Update:
    columns = _table(model).c
    new = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in names}
    new["updated_at"] = bindparam("new_updated_at", type_=columns.updated_at.type)
    statement = update(_table(model)).values(new | {"version": columns.version + 1})
    return statement.returning(*_columns(model, schema))


def _id(written: CTE) -> ColumnElement[Any]:
    return written.c.id


@lru_cache(maxsize=256)
def _seen(
    visible: Visible,
    by_id: bool,
    of_versions: bool,
    schema: Schema,
    alive: ColumnElement[bool] | None,
) -> CTE:
    """The row that is to be written, as it stands. It is written in this version, or not."""
    statement = _select_item(visible, by_id, schema, alive)
    if of_versions:
        statement = statement.where(model_of(visible).version == func.any(_VERSIONS))
    return statement.cte("seen")


@lru_cache(maxsize=256)
def _change_seen(
    model: type[Any], names: tuple[str, ...], schema: Schema, seen: CTE
) -> tuple[Any, Made, Made]:
    """The UPDATE, and what makes the members that it changes, as they were and as they are."""
    columns = _table(model).c
    statement = _set(model, names, schema)
    statement = statement.where(columns.id == seen.c.id, columns.version == seen.c.version)
    return (
        statement,
        lambda written: differing(schema, names, seen.c, written.c),
        lambda written: differing(schema, names, written.c, seen.c),
    )


@lru_cache(maxsize=256)
def _delete_seen(model: type[Any], schema: Schema, seen: CTE) -> tuple[Any, Made]:
    """The DELETE, and what makes the members of what it deletes."""
    columns = _table(model).c
    statement = delete(_table(model))
    statement = statement.where(columns.id == seen.c.id, columns.version == seen.c.version)
    return statement.returning(columns.id), lambda _: whole(schema, seen.c)


@lru_cache(maxsize=256)
def _delete(model: type[Any]) -> Any:
    columns = _table(model).c
    statement = delete(_table(model)).where(columns.id == ITEM_ID, columns.version == _SEEN)
    return statement.returning(columns.id)


@lru_cache(maxsize=256)
def _delete_all(model: type[Any]) -> Delete:
    return delete(_table(model)).where(_table(model).c.id.in_(_ITEM_IDS))

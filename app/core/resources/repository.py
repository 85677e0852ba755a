"""Reading and writing the rows of resources, and recording each write in the audit log.

A *scoped query* (`Task.visible_to(caller)`) selects the rows that a caller may see or change.

On PostgreSQL a write that is a transaction by itself is one statement with its audit row. Within a
transaction, and on SQLite, the row is locked, written and recorded with a statement each.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.core.database import execute
from app.core.database.bulk import by_columns
from app.core.database.ids import uuid7
from app.core.database.mixins import ResourceMixin
from app.core.database.types import now
from app.core.files.file_mixin import FileMixin
from app.core.files.uploads import StoredUpload
from app.core.resources import statements
from app.core.resources.audit_log import Change, log_change
from app.core.resources.audit_values import Values, recorded_columns, stored_values
from app.core.resources.child_rows import replace_children, row_fields
from app.core.resources.row_locks import absence_problem, lock
from app.core.resources.row_values import column_defaults, instance_values, merge_objects
from app.core.resources.scoped_query import ScopedSelect, scope_params
from app.core.resources.single_statement import FurtherStatement, execute_audited
from app.core.resources.statements import (
    Selection,
    column_of,
    model_of,
    reads_other_tables,
    table_of,
)
from app.core.schemas.base import Schema
from app.core.schemas.merge_patch import MergePatch
from app.core.security import authorization
from app.core.web.database_errors import deletion_from
from app.core.web.etags import Precondition
from app.core.web.problems import Problem
from app.extensions import db


def get(scoped: ScopedSelect, item_id: UUID | None, schema: Schema) -> sa.Row[Any]:
    """The row with that id, or the only one: the columns of the schema, id and version.

    Raises:
        Problem: 404, it does not exist or is not in the scoped query; 401, the caller's session was
            revoked.
    """
    statement = statements.select_one(_selection(scoped, item_id, schema))
    rows = execute.fetch_autocommit(statement, scope_params(item_id))
    if not rows:
        authorization.require_valid_session()
        raise Problem("not-found")
    row: sa.Row[Any] = rows[0]
    return row


def create(
    instance: ResourceMixin,
    schema: Schema,
    parents: ScopedSelect | None = None,
    parent_id: UUID | None = None,
) -> sa.Row[Any]:
    """Insert a new model instance; the stored row.

    Args:
        parents: the scoped query of the rows that it may belong to, and `parent_id` its parent's.

    Raises:
        Problem: 401, the caller's session was revoked; 404, the parent is not in its scoped query;
            403, it may only be read.
    """
    if not row_fields(schema).keys().isdisjoint(vars(instance)):
        db.session.connection()  # begins a transaction: the children need statements of their own
    condition = None
    if execute.can_autocommit():
        condition = authorization.session_is_valid_clause()
    else:
        authorization.require_valid_session()
    if parents is None:
        source = statements.one_row_where(condition)
    else:
        source = statements.lock_parent(parents, condition)
    row = create_if(source, instance, schema, scope_params(parent_id))
    if row is None and parents is not None:
        authorization.require_valid_session()
        raise absence_problem(parents, parent_id)
    if row is None:
        raise authorization.invalid_token_problem()
    return row


def create_if(
    source: sa.Select[Any],
    instance: ResourceMixin,
    schema: Schema,
    params: Mapping[str, Any],
    *further: FurtherStatement,
) -> sa.Row[Any] | None:
    """Insert a new model instance if a select has a row; the stored row, or None.

    Args:
        source: a constant select of at most one row; it may lock it.
        params: the values of its parameters, and of those of the further statements.
        further: each makes another statement, to be executed only if the row is inserted: of the
            CTE of that row, or of None where it was inserted before.
    """
    model: Any = type(instance)
    values = column_defaults(model) | instance_values(instance)
    binds = {f"new_{name}": value for name, value in values.items()} | dict(params)
    write = statements.insert_one(model, tuple(values), schema, source)
    if execute.can_autocommit():
        rows = execute_audited(write, binds, further)
    else:
        rows = execute.execute_in_transaction(write.statement, binds)
        for row in rows:
            for make in further:
                execute.execute_in_transaction(make(None), binds)
            rows = _log_creations([instance], [row], schema)
    return rows[0] if rows else None


def create_many(instances: Sequence[ResourceMixin], schema: Schema) -> list[sa.Row[Any]]:
    """Insert new instances of one model; the stored rows, in order.

    One statement is executed for each set of columns that instances have values for.
    """
    model: Any = type(instances[0])
    all_values: list[Values] = [{"id": uuid7()} | instance_values(each) for each in instances]
    statement, connection = statements.insert_many(model, schema), db.session.connection()
    stored = {
        row.id: row
        for alike in by_columns(all_values)
        for row in connection.execute(statement, alike)
    }
    rows = [stored[values["id"]] for values in all_values]
    return _log_creations(instances, rows, schema)


def _log_creations(
    instances: Sequence[ResourceMixin], rows: Sequence[sa.Row[Any]], schema: Schema
) -> list[sa.Row[Any]]:
    """Insert the children of new rows and record the creations; the rows as they are then."""
    model = type(instances[0])
    rows = replace_children(model, rows, list(map(vars, instances)), schema, are_new=True)
    for row in rows:
        _log("create", model, row.id, after=_stored(model, row, schema.column_names))
    return rows


def update(
    scoped: ScopedSelect,
    item_id: UUID | None,
    values: Mapping[str, Any],
    condition: Precondition,
    schema: Schema,
) -> sa.Row[Any]:
    """Update one row if its version meets the condition; the stored row.

    Args:
        values: new values by column, plain or SQL expressions; if empty, nothing changes.

    Raises:
        Problem: 404, or 412 where the row has another version; 401, the session was revoked.
    """
    plain = not any(isinstance(v, sa.ColumnElement | MergePatch) for v in values.values())
    plain = plain and row_fields(schema).keys().isdisjoint(values)
    if values and plain and execute.can_autocommit():
        selection = _selection(scoped, item_id, schema)
        versions = condition.versions
        write = statements.update_one(selection, versions is not None, tuple(values))
        binds = _new_values(values) | scope_params(item_id) | {"versions": versions or []}
        row: sa.Row[Any]
        for row in execute_audited(write, binds):
            return row
    # There is no such row, or another request was faster; with a lock it is known which, at a cost
    # that successful requests do not have: docs/decisions.md#2-optimistic-locking
    before = lock(scoped, item_id, condition, schema)
    return update_locked(model_of(scoped), before, values, schema)


def update_locked(
    model: Any, before: Any, values: Mapping[str, Any], schema: Schema, verb: str = "update"
) -> sa.Row[Any]:
    """Update one row that this transaction has locked; the stored row.

    Args:
        before: the row, or its model instance, as it is stored.
        values: new values by column, plain or SQL expressions; `updated_at` is now by default.
        verb: of the audit event; an `update` without values has none.

    Raises:
        Problem: 422, an object is not valid once the members of a `MergePatch` are merged into it.
    """
    return update_many_locked(model, [(before, values)], schema, verb)[0]


def update_many_locked(
    model: Any,
    changes: Sequence[tuple[Any, Mapping[str, Any]]],
    schema: Schema,
    verb: str = "update",
) -> list[sa.Row[Any]]:
    """As `update_locked`, for several rows and the values of each; the stored rows, in order."""
    merged = [(before, merge_objects(values, model, before)) for before, values in changes]
    rows = [_set_columns(model, *change, schema) if change[1] else change[0] for change in merged]
    rows = replace_children(model, rows, [values for _, values in merged], schema)
    for (before, values), after in zip(merged, rows, strict=True):
        if values:
            names = recorded_columns(schema, tuple(values))
            recorded = _stored(model, before, names), _stored(model, after, names)
            _log(verb, model, after.id, *recorded)
        elif verb != "update":
            _log(verb, model, after.id)
    return rows


def _set_columns(model: Any, before: Any, values: Mapping[str, Any], schema: Schema) -> sa.Row[Any]:
    own = {k: v for k, v in values.items() if k not in row_fields(schema)}
    plain = {k: v for k, v in own.items() if not isinstance(v, sa.ColumnElement)}
    statement = statements.update_locked(model, tuple(plain), schema)
    binds = _new_values(plain) | {"item_id": before.id, "expected_version": before.version}
    if computed := {column_of(model, k): v for k, v in own.items() if k not in plain}:
        rows = db.session.connection().execute(statement.values(computed), binds).all()
    else:
        rows = execute.execute_in_transaction(statement, binds)
    if not rows:
        raise Problem("precondition-failed")
    row: sa.Row[Any] = rows[0]
    return row


def _new_values(values: Mapping[str, Any]) -> Values:
    return {"new_updated_at": now()} | {f"new_{name}": value for name, value in values.items()}


def delete(
    scoped: ScopedSelect, item_id: UUID | None, condition: Precondition, schema: Schema
) -> None:
    """Delete one row if its version meets the condition.

    Raises:
        Problem: 404, or 412 where the row has another version; 401, the session was revoked; 409,
            other rows refer to it.
    """
    # The aggregate of the children is no value for the audit log, the row in Python is.
    if execute.can_autocommit() and not row_fields(schema):
        selection, versions = _selection(scoped, item_id, schema), condition.versions
        write = statements.delete_one(selection, versions is not None)
        binds = scope_params(item_id) | {"versions": versions or []}
        with deletion_from(table_of(selection.model)):
            further = [statements.delete_upload] if _keeps_file(selection.model) else []
            if execute_audited(write, binds, further):
                return
    before, model = lock(scoped, item_id, condition, schema), model_of(scoped)
    delete_where(model, table_of(model).c.id == before.id, schema)


def delete_where(model: type[Any], condition: sa.ColumnElement[bool], schema: Schema) -> None:
    """Delete all rows that meet the condition, in one statement that returns all of them."""
    statement = sa.delete(table_of(model)).where(condition)
    returned, connection = statements.returned_columns(model, schema), db.session.connection()
    with deletion_from(table_of(model)):
        if reads_other_tables(model, schema):  # whose rows may be deleted before RETURNING
            rows = connection.execute(sa.select(*returned).where(condition)).all()
            connection.execute(statement)
        else:
            rows = connection.execute(statement.returning(*returned)).all()
    if _keeps_file(model):
        ids = [row.id for row in rows]
        connection.execute(sa.delete(StoredUpload).where(StoredUpload.id.in_(ids)))
    for row in rows:
        _log("delete", model, row.id, before=_stored(model, row, schema.column_names))


def _keeps_file(model: type[Any]) -> bool:
    return issubclass(model, FileMixin)


def _selection(scoped: ScopedSelect, item_id: UUID | None, schema: Schema) -> Selection:
    return Selection(scoped, item_id is not None, schema, authorization.session_is_valid_clause())


def _stored(model: type[Any], row: Any, names: Collection[str]) -> Values:
    return stored_values(table_of(model), {name: getattr(row, name) for name in names})


def _log(
    action: str,
    model: type[Any],
    item_id: UUID,
    before: Values | None = None,
    after: Values | None = None,
) -> None:
    log_change(Change(action, table_of(model).name, item_id, before, after))

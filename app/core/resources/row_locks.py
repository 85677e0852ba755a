"""Rows of scoped queries, locked until the transaction ends."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from app.core.database import execute
from app.core.resources import statements
from app.core.resources.child_rows import row_fields
from app.core.resources.scoped_query import ScopedSelect, readable_rows, scope_params
from app.core.resources.statements import Selection
from app.core.schemas.base import Schema
from app.core.security import authorization
from app.core.web.etags import Precondition
from app.core.web.problems import Problem
from app.extensions import db


def lock(
    scoped: ScopedSelect, item_id: UUID | None, condition: Precondition, schema: Schema
) -> sa.Row[Any]:
    """The row as it is stored, locked until the commit: columns of the schema, then all others.

    Raises:
        Problem: 404, or 403 where it may only be read, or 412 where it has another version; 401,
            the session was revoked.
    """
    authorization.require_valid_session()
    statement = statements.lock_one(Selection(scoped, item_id is not None, schema))
    rows = execute.execute_in_transaction(statement, scope_params(item_id))
    if row_fields(schema):  # the statement may have read the children before it got the lock
        rows = execute.execute_in_transaction(statement, scope_params(item_id))
    if not rows:
        raise absence_problem(scoped, item_id)
    if not condition.is_met_by(rows[0].version):
        raise Problem("precondition-failed")
    row: sa.Row[Any] = rows[0]
    return row


def lock_many(
    scoped: ScopedSelect, item_ids: Collection[UUID], schema: Schema
) -> dict[UUID, sa.Row[Any]]:
    """The rows of a scoped query with these ids, by id; locked until the commit, in their order."""
    statement = statements.lock_many(Selection(scoped, False, schema))
    binds = {"item_ids": list(item_ids), **scope_params()}
    rows = db.session.connection().execute(statement, binds).all()
    if row_fields(schema):
        rows = db.session.connection().execute(statement, binds).all()
    return {row.id: row for row in rows}


def lock_parent(parents: ScopedSelect, parent_id: UUID | None) -> None:
    """Lock the parent of rows to create, so that it cannot be deleted until the commit.

    Raises:
        Problem: 404, it is not in the scoped query; 403, it may only be read.
    """
    statement = statements.lock_parent(parents, None)
    if not execute.execute_in_transaction(statement, scope_params(parent_id)):
        raise absence_problem(parents, parent_id)


def absence_problem(
    scoped: ScopedSelect, item_id: UUID | None, not_found: str | None = None
) -> Problem:
    """Why a row is not among those that may be written: 403 where it may be read, else 404."""
    readable = readable_rows(scoped)
    if readable is not None and item_id is not None:
        statement, binds = statements.lock_parent(readable, None), scope_params(item_id)
        if execute.execute_in_transaction(statement, binds):
            detail = "The caller may read this item, but not change it."
            return authorization.forbidden_problem({"detail": detail})
    return Problem("not-found", not_found)

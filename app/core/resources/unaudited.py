"""Writes without audit events, for the state of the service, such as the progress of a job."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from app.core.resources.statements import table_of
from app.extensions import db


def update_where(
    model: type[Any], condition: sa.ColumnElement[bool], values: Mapping[str, Any]
) -> Sequence[sa.Row[Any]]:
    """Update all rows that meet the condition; all columns of each, as stored."""
    statement = sa.update(table_of(model)).where(condition).values(values)
    return db.session.connection().execute(statement.returning(table_of(model))).all()


def delete_in_batches(model: type[Any], condition: sa.ColumnElement[bool]) -> int:
    """Delete all rows that meet the condition, in short transactions; their number.

    Rows that another transaction has locked are not deleted.
    """
    # Short transactions, because a row lock that is kept for minutes would block callers.
    key = tuple(table_of(model).primary_key)
    old = sa.select(*key).where(condition).limit(10_000).with_for_update(skip_locked=True)
    some = sa.delete(table_of(model)).where(sa.tuple_(*key).in_(old))
    deleted = 0
    while count := db.session.connection().execute(some).rowcount:
        db.session.commit()
        deleted += count
    return deleted

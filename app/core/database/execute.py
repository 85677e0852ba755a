"""Execution of statements: in autocommit, or in the transaction of the request."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, Select
from sqlalchemy.exc import DBAPIError

from app.core.database import prepared
from app.core.database.engine import ServerTimeoutError, autocommit_connection
from app.extensions import db


def fetch_autocommit(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    """Return all rows of a constant SELECT, read outside of any transaction in one round trip.

    Args:
        statement: a module-level constant or cached; it is compiled once.
        values: by the key of the bind parameters.

    Raises:
        SQLAlchemyError: as raised by SQLAlchemy.
    """
    try:
        return _fetch(statement, values)
    except DBAPIError as error:
        # A lost connection may show only in use, and a read can be repeated. After a timeout a
        # second attempt would wait as long again: docs/decisions.md#15-autocommit-pool
        if not error.connection_invalidated or isinstance(error.orig, ServerTimeoutError):
            raise
    return _fetch(statement, values)


def _fetch(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    engine = db.engine
    if engine.dialect.name == "postgresql" and isinstance(statement, Select):
        return prepared.execute_autocommit(engine, statement, values)
    with autocommit_connection() as connection:
        return connection.execute(statement, values).all()


def fetch(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    """Return all rows of a constant SELECT, in the transaction of the request if it has begun one.

    A second connection would be one that the pool may not have left.
    """
    begun = db.session.registry.has()
    return (execute_in_transaction if begun else fetch_autocommit)(statement, values)


def execute_in_transaction(
    statement: Executable, values: Mapping[str, Any], connection: Connection | None = None
) -> Sequence[Any]:
    """Execute a constant statement in a transaction; return its rows, or none.

    Args:
        connection: the one that has begun the transaction; by default that of `db.session`.
    """
    connection = connection or db.session.connection()
    if connection.dialect.name == "postgresql":
        return prepared.execute(connection.engine, connection, statement, values)
    result = connection.execute(statement, values)
    return result.all() if result.returns_rows else ()


def execute_autocommit(statement: Executable, values: Mapping[str, Any]) -> None:
    """Execute one write that is committed at once, whether or not the request succeeds."""
    with autocommit_connection() as connection:
        connection.execute(statement, values)


def can_autocommit() -> bool:
    """Return whether a write can be a transaction by itself: the request has begun none."""
    # SQLite has no INSERT in a CTE: docs/decisions.md#13-single-statement-writes
    return db.engine.dialect.name == "postgresql" and not db.session.registry.has()

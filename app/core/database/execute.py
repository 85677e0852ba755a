"""Statements in one round trip, in autocommit or in the transaction of the request."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import current_app
from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    Select,
)
from sqlalchemy.exc import DBAPIError

from app.core.database import prepared
from app.core.database.engine import ServerTimeoutError
from app.extensions import db


def fetch_autocommit(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    """All rows of a constant SELECT, outside any transaction, in one round trip.

    A connection that the server has closed shows only in use: such a read runs once more. Not one
    that was waited for in vain, which would take twice as long.
    """
    try:
        return _fetch(statement, values)
    except DBAPIError as error:
        if not error.connection_invalidated or isinstance(error.orig, ServerTimeoutError):
            raise
    return _fetch(statement, values)


def _fetch(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    engine = db.engine
    if engine.dialect.name == "postgresql" and isinstance(statement, Select):
        return prepared.execute_autocommit(engine, statement, values)
    reader: Engine = current_app.extensions["reader"]
    with reader.connect() as connection:
        return connection.execute(statement, values).all()


def execute_in_transaction(
    statement: Executable, values: Mapping[str, Any], connection: Connection | None = None
) -> Sequence[Any]:
    """All rows of a constant statement, in the transaction of the connection, or of the request."""
    connection = connection or db.session.connection()
    if connection.dialect.name == "postgresql":
        return prepared.execute_in_transaction(connection, statement, values)
    result = connection.execute(statement, values)
    return result.all() if result.returns_rows else ()


def execute_autocommit(statement: Executable, values: Mapping[str, Any]) -> None:
    """One statement that stands for itself, whatever becomes of the request."""
    reader: Engine = current_app.extensions["reader"]
    with reader.connect() as connection:
        connection.execute(statement, values)


def can_autocommit() -> bool:
    """Whether a write can be a transaction by itself: the request has not begun one."""
    return db.engine.dialect.name == "postgresql" and not db.session.registry.has()

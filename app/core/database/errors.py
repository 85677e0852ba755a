"""Errors of the database: what they mean, as plain data."""

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import psycopg
from sqlalchemy import (
    Connection,
    Engine,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection

# PostgreSQL, appendix A: connection exception, transaction rollback (deadlock), insufficient
# resources, operator intervention (shutdown, statement timeout); lock not available, and read-only
# transaction, which occurs for a moment after a failover.
_TRANSIENT_CLASSES = ("08", "40", "53", "57")
_TRANSIENT_STATES = ("55P03", "25006")
_TRANSIENT_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}

_PROGRAM_LIMIT = "54000"  # a value is too long for an index

AnyConnection = Connection | PoolProxiedConnection


class OutcomeUnknownError(OperationalError):
    """The connection broke during a COMMIT, or a write in autocommit, which may have been done."""

    # docs/decisions.md#77-unknown-outcomes

    @classmethod
    def replace(cls, error: DBAPIError) -> DBAPIError:
        """Return the error of such a statement: this one if the connection broke."""
        if not error.connection_invalidated:
            return error
        return cls(
            error.statement,
            None,
            error.orig or error,
            hide_parameters=True,
            connection_invalidated=True,
        )


class ErrorKind(Enum):
    """What a caller can do about an error."""

    CONSTRAINT = "constraint"  # change the values, or the stored rows
    REFERENCE = "reference"  # a foreign key: change the values, or the rows that refer to this one
    OUT_OF_RANGE = "out of range"  # change the values
    UNAVAILABLE = "unavailable"  # try again: connection, timeout, lock, resources
    DEFECT = "defect"  # nothing: the SQL or its use is wrong


@dataclass(frozen=True, slots=True)
class DatabaseError:
    """A classified error.

    Args:
        constraint: name of the violated constraint or unique index, where it is known.
        info: its `info` in the model: `field`, `detail` and optionally `problem`. A unique key
            without one has the `field` of its only column that is no foreign key, if there is one.
        columns: those of a violated foreign key, where it is known; of a violated NOT NULL the
            column, as table.column.
    """

    kind: ErrorKind
    constraint: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


def classify(error: SQLAlchemyError, metadata: MetaData) -> DatabaseError:
    """Return what an error means; constraints are looked up in `metadata` by their name."""
    if isinstance(error, IntegrityError):
        # Not the caller's: a member that may be null or absent has a column that may be NULL, or
        # has a default (`app.core.resources.model_checks`).
        if column := _column_without_value(error):
            return DatabaseError(ErrorKind.DEFECT, columns=(column,))
        name, constraint = _find_constraint(error, metadata)
        is_reference = _is_foreign_key(error, constraint)
        kind = ErrorKind.REFERENCE if is_reference else ErrorKind.CONSTRAINT
        columns = tuple(constraint.columns.keys()) if is_reference and constraint else ()
        return DatabaseError(kind, name, _info_of(constraint), columns)
    is_too_long = getattr(getattr(error, "orig", None), "sqlstate", None) == _PROGRAM_LIMIT
    if isinstance(error, DataError) or is_too_long:
        return DatabaseError(ErrorKind.OUT_OF_RANGE)
    transient = isinstance(error, PoolTimeoutError) or (
        isinstance(error, DBAPIError) and _is_transient(error)
    )
    return DatabaseError(ErrorKind.UNAVAILABLE if transient else ErrorKind.DEFECT)


def _is_transient(error: DBAPIError) -> bool:
    match error.orig:
        case sqlite3.Error() as orig:
            code = getattr(orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
            return code & 0xFF in _TRANSIENT_SQLITE  # the rest is the extended code
        case psycopg.Error(sqlstate=str(state)):
            is_transient = state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES
            return is_transient or error.connection_invalidated
        case orig:  # not from the server: it is unreachable, gone or silent
            return error.connection_invalidated or isinstance(orig, psycopg.OperationalError)


def _info_of(constraint: Any) -> Mapping[str, Any]:
    info: Mapping[str, Any] = getattr(constraint, "info", {})
    if info or not _is_unique(constraint):
        return info
    own = [column.name for column in constraint.columns if not column.foreign_keys]
    return {"field": own[0], "detail": "Another item has this value."} if len(own) == 1 else {}


def _is_unique(item: Any) -> bool:
    return isinstance(item, UniqueConstraint | PrimaryKeyConstraint) or (
        isinstance(item, Index) and item.unique
    )


def _column_without_value(error: IntegrityError) -> str:
    """The column of a violated NOT NULL, as table.column; empty for other errors."""
    if isinstance(error.orig, psycopg.errors.NotNullViolation):
        return f"{error.orig.diag.table_name}.{error.orig.diag.column_name}"
    found = re.match(r"NOT NULL constraint failed: (\w+\.\w+)", str(error.orig))
    return found[1] if found else ""


def _find_constraint(error: IntegrityError, metadata: MetaData) -> tuple[str | None, Any]:
    """The name of the violated constraint, and the constraint or unique index of the model."""
    if isinstance(error.orig, psycopg.Error):
        name = error.orig.diag.constraint_name
        return name, _named(name, metadata)
    # SQLite names a CHECK or an index on an expression; of a plain unique one it names the columns.
    text = str(error.orig)
    if match := re.search(r"(?:CHECK constraint failed: |index ')(\w+)", text):
        return match[1], _named(match[1], metadata)
    if match := re.search(r"UNIQUE constraint failed: (\w+)\.", text):
        found = _with_columns(metadata.tables.get(match[1]), re.findall(r"\.(\w+)", text))
        return getattr(found, "name", None), found
    return None, None


def _is_foreign_key(error: IntegrityError, constraint: Any) -> bool:
    # SQLite does not name foreign keys.
    code = getattr(error.orig, "sqlite_errorcode", None)
    is_named = isinstance(constraint, ForeignKeyConstraint)
    return is_named or code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY


def _named(name: str | None, metadata: MetaData) -> Any:
    for table in metadata.tables.values():
        for item in (*table.constraints, *table.indexes):
            if name is not None and name == getattr(item, "name", None):
                return item
    return None


def _with_columns(table: Table | None, columns: Sequence[str]) -> Any:
    """The unique constraint or index of a table with these columns."""
    items: Iterable[Any] = () if table is None else (*table.constraints, *table.indexes)
    for item in items:
        if _is_unique(item) and sorted(item.columns.keys()) == sorted(columns):
            return item
    return None


def driver_connection(connection: AnyConnection) -> Any:
    """Return psycopg's connection under a connection of SQLAlchemy."""
    pooled = connection.connection if isinstance(connection, Connection) else connection
    return pooled.driver_connection


def translate_error(
    error: psycopg.Error,
    engine: Engine,
    connection: AnyConnection | None = None,
    sql: str | None = None,
) -> BaseException:
    """Return SQLAlchemy's error for one of psycopg; a lost connection is invalidated."""
    lost = connection is not None and driver_connection(connection).closed
    if connection is not None and lost:
        connection.invalidate(error)
        # The idle connections were most likely lost with it. SQLAlchemy does the same for the
        # statements that it executes itself.
        engine.dispose()
    return DBAPIError.instance(
        sql,
        None,
        error,
        psycopg.Error,
        hide_parameters=engine.hide_parameters,
        connection_invalidated=lost,
        dialect=engine.dialect,
    )

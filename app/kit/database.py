"""The database: its engine, one-statement reads, and what its errors mean to a caller."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from flask import Flask, Response, current_app
from sqlalchemy import Connection, Engine, Executable, Row, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.extensions import db
from app.kit.problems import Problem

log = structlog.get_logger()

RETRY_AFTER = "2"  # seconds; a restarted PostgreSQL is back sooner


def engine_options(url: str, settings: Any) -> dict[str, Any]:
    """Keyword arguments for `create_engine`: every wait is bounded, sessions speak UTC.

    `pool_pre_ping` stays off, it costs each request a round trip; `read` retries instead.
    """
    if url.startswith("sqlite"):
        timeout = settings.lock_timeout_ms / 1000
        return {"hide_parameters": True, "connect_args": {"timeout": timeout}}
    limits = (
        f"-c statement_timeout={settings.statement_timeout_ms}"
        f" -c lock_timeout={settings.lock_timeout_ms}"
        f" -c idle_in_transaction_session_timeout={settings.statement_timeout_ms * 2}"
        " -c timezone=UTC"
    )
    return {
        "hide_parameters": True,  # they would end up in the log
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": 1800,
        "connect_args": {
            "options": limits,
            "connect_timeout": settings.connect_timeout,
            "keepalives_idle": 30,
            "tcp_user_timeout": 10_000,
            "application_name": "web",
        },
    }


def init_app(app: Flask) -> None:
    """Prepare the engine of this application, and answer its errors."""
    app.register_error_handler(SQLAlchemyError, answer)
    with app.app_context():
        engine = db.engine
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_immediate)
        # Shares the pool; AUTOCOMMIT spares a read its BEGIN and ROLLBACK.
        app.extensions["reader"] = engine.execution_options(isolation_level="AUTOCOMMIT")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later could not wait for the write lock.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def read(statement: Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """All rows of a SELECT, outside any transaction, in one round trip.

    A connection that the server has closed shows only in use: such a read runs once more.
    """
    reader: Engine = current_app.extensions["reader"]
    try:
        with reader.connect() as connection:
            return connection.execute(statement, values).all()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    with reader.connect() as connection:
        return connection.execute(statement, values).all()


def write(statement: Executable, values: Mapping[str, Any]) -> None:
    """One statement that stands for itself, whatever becomes of the request."""
    reader: Engine = current_app.extensions["reader"]
    with reader.connect() as connection:
        connection.execute(statement, values)


def answer(error: SQLAlchemyError) -> Response:
    """The problem response for a database error; never its text, which may quote stored data."""
    db.session.rollback()
    match error:
        case IntegrityError() | DataError():
            return refusal(error).get_response()
        case PoolTimeoutError() | DBAPIError():
            log.exception("database_unavailable")
            headers = {"Retry-After": RETRY_AFTER}
            return Problem("service-unavailable", headers=headers).get_response()
    log.exception("database_error")
    return Problem("internal-error").get_response()


def refusal(error: IntegrityError | DataError) -> Problem:
    """What is wrong with values that the database does not take.

    Integrity errors are told apart by the name of the constraint; `info` on the model says more.
    """
    if isinstance(error, DataError):
        return Problem("validation-error", "A value is outside what can be stored.")
    name = _constraint_name(error)
    log.info("integrity_error", constraint=name)
    for table in db.metadata.tables.values():
        for item in (*table.constraints, *table.indexes):
            if name == getattr(item, "name", None) and "field" in item.info:
                place = {"detail": item.info["detail"], "pointer": f"#/{item.info['field']}"}
                slug = item.info.get("problem", "conflict")
                return Problem(slug, item.info["detail"], errors=[place])
    return Problem("conflict")


def _constraint_name(error: IntegrityError) -> str | None:
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        name: str | None = diagnosis.constraint_name
        return name
    # SQLite names a CHECK or an index on an expression; of a plain unique one it names the columns.
    text = str(error.orig)
    if found := re.search(r"(?:CHECK constraint failed: |index ')(\w+)", text):
        return found[1]
    if found := re.search(r"UNIQUE constraint failed: (\w+)\.(\w+)", text):
        return f"uq_{found[1]}_{found[2]}"
    return None

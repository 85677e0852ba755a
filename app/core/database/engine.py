"""The database: its engine, statements in one round trip, and what its errors mean to a caller."""

from functools import partial
from typing import Any

import orjson
import psycopg
import structlog
from flask import Flask
from sqlalchemy import (
    Connection,
    event,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from app.core.database.errors import handle_database_error
from app.core.web import strict_json
from app.extensions import db

log = structlog.get_logger()
TIMEOUT_MARGIN = 1.0  # seconds beyond the statement timeout for the server to tell of it


class ServerTimeoutError(psycopg.OperationalError):
    """The server is connected and says nothing: it is stopped, or cut off without a word."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits no longer for the server than the server itself would let it wait.

    `statement_timeout` is kept by a server that works; TCP only notices a machine that is gone.
    """

    response_timeout: float | None = None  # seconds for one answer; None: without end

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, but for `response_timeout` at most; then close the connection.

        Raises:
            NoAnswerError: the server did not answer in time; whether it did the work is unknown.
        """
        try:
            return super().wait(
                gen, interval, self.response_timeout if timeout is None else timeout
            )
        except psycopg.errors._WaitTimeout as error:
            self.close()  # an answer that came late would be taken for the next one
            raise ServerTimeoutError("the server did not answer in time") from error


def to_json(value: Any) -> str:
    """The value of a JSON column, as text."""
    return strict_json.dumps(value).decode()


def engine_options(url: str, settings: Any) -> dict[str, Any]:
    """Keyword arguments for `create_engine`: every wait is bounded, sessions speak UTC.

    `pool_pre_ping` stays off, it costs each request a round trip; `read` retries instead.
    """
    common = {
        "hide_parameters": True,  # they would end up in the log
        "json_serializer": to_json,
        "json_deserializer": orjson.loads,
    }
    if url.startswith("sqlite"):
        return {**common, "connect_args": {"timeout": settings.lock_timeout_ms / 1000}}
    limits = (
        f"-c statement_timeout={settings.statement_timeout_ms}"
        f" -c lock_timeout={settings.lock_timeout_ms}"
        f" -c idle_in_transaction_session_timeout={settings.statement_timeout_ms * 2}"
        " -c timezone=UTC"
    )
    # Behind a pooler sessions are shared: what they have is the role's (docs/operations.md), and a
    # statement that was prepared in one may be executed in another.
    session = {"prepare_threshold": None} if settings.database_pooler else {"options": limits}
    return {
        **common,
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": 1800,
        "connect_args": {
            **session,
            "connect_timeout": settings.connect_timeout,
            "keepalives_idle": 30,
            "tcp_user_timeout": 10_000,
            "application_name": "web",
        },
    }


def init_app(app: Flask) -> None:
    """Prepare the engine of this application, and answer its errors."""
    app.register_error_handler(SQLAlchemyError, handle_database_error)
    with app.app_context():
        engine = db.engine
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_immediate)
        else:
            response_timeout = app.config["STATEMENT_TIMEOUT_MS"] / 1000 + TIMEOUT_MARGIN
            event.listen(engine, "do_connect", partial(_connect, response_timeout))
            event.listen(engine, "checkin", _discard_read_only_connections)
            if app.config["DATABASE_POOLER"]:
                event.listen(engine, "connect", _warn_about_missing_timeouts)
        # Shares the pool; AUTOCOMMIT spares a read its BEGIN and ROLLBACK.
        app.extensions["reader"] = engine.execution_options(isolation_level="AUTOCOMMIT")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _connect(response_timeout: float, *call: Any) -> BoundedConnection:
    _dialect, _record, args, kwargs = call
    connection = BoundedConnection.connect(*args, **kwargs)
    connection.response_timeout = response_timeout
    return connection


def _warn_about_missing_timeouts(connection: Any, _record: Any) -> None:
    """Through a pooler we cannot bound the waits of a session; whoever made the role has to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE setting = '0' AND name IN ('statement_timeout',"
            " 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name"
        )
        unbounded = [name for (name,) in cursor]
    connection.rollback()
    if unbounded:
        log.warning("database_timeouts_missing", settings=unbounded)


def _discard_read_only_connections(connection: Any, record: ConnectionPoolEntry) -> None:
    # Read-only from its start, a session stays so when others have long become writable.
    if connection is None or connection.closed:
        return
    told = connection.pgconn.parameter_status  # PostgreSQL 14 and later tell it by themselves
    if b"on" in (told(b"default_transaction_read_only"), told(b"in_hot_standby")):
        record.invalidate()


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later could not wait for the write lock.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")

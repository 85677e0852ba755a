"""The engine: its options, its connections and how transactions begin."""

import os
from decimal import Decimal
from functools import partial
from select import POLLIN, poll
from typing import Any

import orjson
import psycopg
import structlog
from flask import Flask
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, ExceptionContext, Select, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from app.core.database import full_text
from app.core.database.errors import OutcomeUnknownError
from app.extensions import db

log = structlog.get_logger()
TIMEOUT_MARGIN = 1.0  # seconds beyond statement_timeout, for the server's error to arrive
# Defaults that a database or role may have changed, and on which answers depend. Not search_path
# and read-only, which are choices of a deployment: docs/decisions.md#68-pinned-session-settings
PINNED = {
    "datestyle": "ISO,MDY",
    "timezone": "UTC",
    "standard_conforming_strings": "on",
}  # a pooler restores these for each client
PINNED_WITHOUT_POOLER = PINNED | {
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "default_transaction_isolation": r"read\ committed",
    "default_transaction_deferrable": "off",
}

# With these, libpq would send its own values, which precede those of `options`.
ENVIRONMENT_OF_SESSIONS = ("PGDATESTYLE", "PGTZ")


class ServerTimeoutError(psycopg.OperationalError):
    """The server did not answer in time: it is stopped, or unreachable without TCP noticing."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits a limited time for each answer."""

    # A server that is stopped keeps no `statement_timeout`, and its kernel still acknowledges TCP:
    # docs/decisions.md#17-timeouts-on-the-client-side

    response_timeout: float | None = None  # seconds for one answer; None: unlimited

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, but at most `response_timeout`; then close the connection.

        Raises:
            ServerTimeoutError: the server did not answer; whether it did the work is unknown.
        """
        if timeout is None:
            timeout = self.response_timeout
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            # Psycopg has no public class for its timeout. This is one: the server sent no error,
            # and the connection still waits for an answer.
            active = self.info.transaction_status == TransactionStatus.ACTIVE
            if error.sqlstate is not None or not active:
                raise
            self.close()  # a late answer would be taken for the next one
            raise ServerTimeoutError("the server did not answer in time") from error


def to_json(value: Any) -> str:
    """Return the value of a JSON column as text."""
    option = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
    return orjson.dumps(value, default=_decimal_as_text, option=option).decode()


def _decimal_as_text(value: Any) -> str:
    if not isinstance(value, Decimal):
        raise TypeError
    return str(value)  # a JSON number would lose digits in most readers


def engine_options(url: str, settings: Any) -> dict[str, Any]:
    """Return keyword arguments for `create_engine`; every wait is bounded, sessions use UTC."""
    common = {
        "hide_parameters": True,  # they would end up in the log
        "json_serializer": to_json,
        "json_deserializer": orjson.loads,
        # Of the connections in the pool; a transaction sets its own isolation level.
        # docs/decisions.md#15-autocommit-pool
        "isolation_level": "AUTOCOMMIT",
    }
    if url.startswith("sqlite"):
        return {**common, "connect_args": {"timeout": settings.lock_timeout_ms / 1000}}
    pinned = PINNED_WITHOUT_POOLER | {
        "statement_timeout": settings.statement_timeout_ms,
        "lock_timeout": settings.lock_timeout_ms,
        "idle_in_transaction_session_timeout": settings.statement_timeout_ms * 2,
    }
    options = " ".join(f"-c {name}={value}" for name, value in pinned.items())
    # Behind a pooler sessions are shared: timeouts are the role's (docs/operations.md), and a
    # statement that was prepared in one may be executed in another.
    session = {"prepare_threshold": None} if settings.database_pooler else {"options": options}
    return {
        **common,
        "execution_options": {"isolation_level": "READ COMMITTED"},
        "skip_autocommit_rollback": True,
        "pool_size": settings.pool_size,
        "max_overflow": 0,
        "pool_timeout": settings.pool_timeout,
        "pool_recycle": 1800,
        "connect_args": {
            **session,
            "client_encoding": "utf8",
            "connect_timeout": settings.connect_timeout,
            "keepalives_idle": 30,
            "tcp_user_timeout": 10_000,
            "application_name": "web",
        },
    }


def init_app(app: Flask) -> None:
    """Listen for the events of the engine's connections."""
    with app.app_context():
        engine = db.engine
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin_immediate)
        return
    for name in ENVIRONMENT_OF_SESSIONS:
        os.environ.pop(name, None)
    response_timeout = app.config["STATEMENT_TIMEOUT_MS"] / 1000 + TIMEOUT_MARGIN
    event.listen(engine, "handle_error", _mark_unknown_outcome, retval=True)
    event.listen(engine, "do_connect", partial(_connect, response_timeout))
    event.listen(engine, "checkout", _check_connected)
    event.listen(engine, "checkin", _discard_read_only_connections)
    if app.config["DATABASE_POOLER"]:
        event.listen(engine, "connect", _prepare_shared_session)


def autocommit_connection() -> Connection:
    """Return a connection on which each statement is a transaction; close it after use."""
    # On the connection: as an option of the engine it would not replace the engine's own.
    return db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    full_text.add_function(connection)


def _begin_immediate(connection: Connection) -> None:
    # A transaction that reads first and writes later could not wait for the write lock:
    # docs/decisions.md#19-immediate-transactions-on-sqlite
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _mark_unknown_outcome(context: ExceptionContext) -> BaseException | None:
    error, executed = context.sqlalchemy_exception, context.execution_context
    if not context.is_disconnect or context.connection is None or not isinstance(error, DBAPIError):
        return None
    options = context.connection.get_execution_options()
    commits = context.statement is None or options.get("isolation_level") == "AUTOCOMMIT"
    reads = isinstance(getattr(executed, "invoked_statement", None), Select)
    return OutcomeUnknownError.replace(error) if commits and not reads else None


def _connect(response_timeout: float, *call: Any) -> BoundedConnection:
    _dialect, _record, args, kwargs = call
    connection = BoundedConnection.connect(*args, **kwargs)
    connection.response_timeout = response_timeout
    return connection


def _check_connected(connection: Any, _record: Any, _proxy: Any) -> None:
    """Have a connection replaced that the server has closed."""
    # An idle connection receives nothing but the server's last message, so data means that it is
    # closed. A write must not be sent twice, and a ping would be a round trip:
    # docs/decisions.md#16-writes-on-closed-connections
    if not connection.closed:
        poller = poll()
        poller.register(connection.fileno(), POLLIN)
        if not poller.poll(0):
            return
    raise InvalidatePoolError


def _discard_read_only_connections(connection: Any, record: ConnectionPoolEntry) -> None:
    # A session that began while the server was read-only stays so after a failover:
    # docs/decisions.md#18-read-only-connections
    if connection is None or connection.closed:
        return
    reported = connection.pgconn.parameter_status  # PostgreSQL 14 and later report it
    if b"on" in (reported(b"default_transaction_read_only"), reported(b"in_hot_standby")):
        record.invalidate()


def _prepare_shared_session(connection: Any, _record: Any) -> None:
    """Set what a pooler keeps for this client, and log which timeouts the role lacks."""
    # Through a pooler a session cannot set its own: docs/decisions.md#59-pgbouncer
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"SET {name} = {value}" for name, value in PINNED.items()))
        cursor.execute(
            "SELECT name FROM pg_settings WHERE setting = '0' AND name IN ('statement_timeout',"
            " 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name"
        )
        unbounded = [name for (name,) in cursor]
    if unbounded:
        log.warning("database_timeouts_missing", settings=unbounded)

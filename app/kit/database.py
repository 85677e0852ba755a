"""The database: its engine, statements in one round trip, and what its errors mean to a caller."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
import psycopg
import structlog
from flask import Flask, current_app
from psycopg import sql
from sqlalchemy import (
    CTE,
    JSON,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from app.extensions import db
from app.kit import driver, json
from app.kit.problems import Problem
from app.kit.service import Response

log = structlog.get_logger()

_Told = Sequence[tuple[Table, Iterable[Any]]]
_Other = Callable[[CTE | None], Any]

RETRY_AFTER = "2"  # seconds; a restarted PostgreSQL is back sooner
COPIED = 500  # rows, from which on COPY is worth its own round trips
SENT = 250  # rows at a time, so that PostgreSQL works while we write the next
GRACE = 1.0  # seconds beyond the statement timeout for the server to tell of it


class NoAnswerError(psycopg.OperationalError):
    """The server is connected and says nothing: it is stopped, or cut off without a word."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that waits no longer for the server than the server itself would let it wait.

    `statement_timeout` is kept by a server that works; TCP only notices a machine that is gone.
    """

    patience: float | None = None  # seconds for one answer; None: without end

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait as psycopg does, but no longer than `patience`; then the connection is closed.

        Raises:
            NoAnswerError: the server did not answer in time; whether it did the work is unknown.
        """
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            self.close()  # an answer that came late would be taken for the next one
            raise NoAnswerError("the server did not answer in time") from error


def _to_json(value: Any) -> str:
    return json.dumps(value).decode()


def engine_options(url: str, settings: Any) -> dict[str, Any]:
    """Keyword arguments for `create_engine`: every wait is bounded, sessions speak UTC.

    `pool_pre_ping` stays off, it costs each request a round trip; `read` retries instead.
    """
    common = {
        "hide_parameters": True,  # they would end up in the log
        "json_serializer": _to_json,
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
    app.register_error_handler(SQLAlchemyError, answer)
    with app.app_context():
        engine = db.engine
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_immediate)
        else:
            patience = app.config["STATEMENT_TIMEOUT_MS"] / 1000 + GRACE
            event.listen(engine, "do_connect", partial(_connect, patience))
            event.listen(engine, "checkin", _keep_only_what_can_write)
            if app.config["DATABASE_POOLER"]:
                event.listen(engine, "connect", _warn_of_endless_waits)
        # Shares the pool; AUTOCOMMIT spares a read its BEGIN and ROLLBACK.
        app.extensions["reader"] = engine.execution_options(isolation_level="AUTOCOMMIT")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _connect(patience: float, *call: Any) -> BoundedConnection:
    _dialect, _record, args, kwargs = call
    connection = BoundedConnection.connect(*args, **kwargs)
    connection.patience = patience
    return connection


def _warn_of_endless_waits(connection: Any, _record: Any) -> None:
    """Through a pooler we cannot bound the waits of a session; whoever made the role has to."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE setting = '0' AND name IN ('statement_timeout',"
            " 'lock_timeout', 'idle_in_transaction_session_timeout') ORDER BY name"
        )
        unbounded = [name for (name,) in cursor]
    connection.rollback()
    if unbounded:
        log.warning("database_waits_unbounded", settings=unbounded)


def _keep_only_what_can_write(connection: Any, record: ConnectionPoolEntry) -> None:
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


def read(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    """All rows of a constant SELECT, outside any transaction, in one round trip.

    A connection that the server has closed shows only in use: such a read runs once more. Not one
    that was waited for in vain, which would take twice as long.
    """
    try:
        return _read(statement, values)
    except DBAPIError as error:
        if not error.connection_invalidated or isinstance(error.orig, NoAnswerError):
            raise
    return _read(statement, values)


def _read(statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
    engine = db.engine
    if engine.dialect.name == "postgresql" and isinstance(statement, Select):
        return driver.execute_alone(engine, statement, values)
    reader: Engine = current_app.extensions["reader"]
    with reader.connect() as connection:
        return connection.execute(statement, values).all()


def execute(
    statement: Executable, values: Mapping[str, Any], connection: Connection | None = None
) -> Sequence[Any]:
    """All rows of a constant statement, in the transaction of the connection, or of the request."""
    connection = connection or db.session.connection()
    if connection.dialect.name == "postgresql":
        return driver.execute(connection, statement, values)
    result = connection.execute(statement, values)
    return result.all() if result.returns_rows else ()


def write(statement: Executable, values: Mapping[str, Any]) -> None:
    """One statement that stands for itself, whatever becomes of the request."""
    reader: Engine = current_app.extensions["reader"]
    with reader.connect() as connection:
        connection.execute(statement, values)


def is_alone() -> bool:
    """Whether a write can be a transaction by itself: the request has not begun one."""
    return db.engine.dialect.name == "postgresql" and not db.session.registry.has()


def execute_told(
    statement: Any, values: Mapping[str, Any], told: _Told, *others: _Other
) -> Sequence[Any]:
    """All rows of a constant INSERT, UPDATE or DELETE that returns some, which are told of.

    In one round trip where that can be, else in the transaction of the request.

    Args:
        others: each makes a further statement with the same values, which writes only if this one
            does: of the rows written, or of None where they were written before.
    """
    if is_alone():
        return execute_alone(statement, values, told, *others)
    written = execute(statement, values)
    if written:
        for make in others:
            execute(make(None), values)
        for table, rows in told:
            insert_rows(table, rows)
    return written


def execute_alone(
    statement: Any, values: Mapping[str, Any], told: _Told, *others: _Other
) -> Sequence[Any]:
    """All rows of a constant INSERT, UPDATE or DELETE that returns some, in one round trip.

    With each that it writes, what tells of it is written; a callable in that makes SQL of the row
    that was written. Use it where `is_alone()` says so.
    """
    rows = {f"told_{n}_{k}": row[k] for n, (_, [row]) in enumerate(told) for k in row}
    made = tuple((name, value) for name, value in rows.items() if callable(value))
    statement = _telling(statement, tuple(table for table, _ in told), others, made)
    return driver.execute_alone(db.engine, statement, {**values, **rows}, only_once=True)


@lru_cache(maxsize=256)
def _telling(
    statement: Any,
    tables: Sequence[Table],
    others: Sequence[_Other],
    made: Sequence[tuple[str, _Other]],
) -> "Select[Any]":
    written = statement.cte("written")
    whole, expressions = select(*written.c), {name: make(written) for name, make in made}

    def value(name: str, type_: Any) -> Any:
        given = cast(bindparam(name, type_=type_), type_)
        return expressions.get(name, given)

    for n, make in enumerate(others):
        whole = whole.add_cte(make(written).cte(f"other_{n}"))
    for n, table in enumerate(tables):
        new = [value(f"told_{n}_{c.name}", c.type) for c in table.c]
        rows = select(*new).select_from(written)
        told = insert(table).from_select(list(table.c), rows, include_defaults=False)
        whole = whole.add_cte(told.cte(f"told_{n}"))
    return whole


def listed() -> ColumnElement[str]:
    """A column of texts that come as one parameter, `listed`, in JSON: however many they are."""
    given = bindparam("listed", type_=Text())
    if db.engine.dialect.name == "postgresql":
        values = func.json_array_elements_text(cast(given, JSON(none_as_null=True)))
        return values.table_valued("value").render_derived().c.value
    return func.json_each(given).table_valued("value").c.value


def insert_rows(table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows that have all columns of the table, in one order; a lot of them with COPY.

    That is the fastest way PostgreSQL has; it works while the next rows are made.
    """
    rest = iter(rows)
    some = list(islice(rest, COPIED))
    if len(some) == 1:
        execute(_insert_one(table), some[0])
        return
    connection = db.session.connection()
    if connection.dialect.name != "postgresql" or len(some) < COPIED:
        if some:
            connection.execute(insert(table), [*some, *rest])
        return
    copy_in = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, some[0]))
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(copy_in) as copy:
        while some:
            columns = zip(*[row.values() for row in some], strict=True)
            lines = map("\t".join, zip(*map(_copied, columns), strict=True))
            copy.write("\n".join(lines) + "\n")
            some = list(islice(rest, SENT))


def _copied(column: Sequence[Any]) -> Sequence[str]:
    """Values as COPY's text format has them. Psycopg, value by value, takes five times as long."""
    if len(set(map(id, column))) == 1 < len(column):
        return [*_copied(column[:1])] * len(column)
    kinds = set(map(type, column))
    texts = column if kinds == {str} else [_TEXTS.get(type(v), str)(v) for v in column]
    if _SPECIAL.search("".join(texts)):
        texts = [text.translate(_ESCAPES) for text in texts]
    if type(None) in kinds:
        texts = [r"\N" if v is None else t for v, t in zip(column, texts, strict=True)]
    return texts


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_SPECIAL = re.compile(r"[\\\t\n\r]")
_TEXTS: dict[type, Callable[[Any], str]] = {UUID: attrgetter("hex"), dict: _to_json, list: _to_json}


@lru_cache(maxsize=256)
def _insert_one(table: Table) -> Any:
    return insert(table).values({c.name: bindparam(c.name, type_=c.type) for c in table.c})


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

"""Statements compiled once and executed by psycopg itself: for PostgreSQL, where speed counts.

SQLAlchemy writes the SQL, knows how values of each type go in and come out, lends the connection
and names the errors. What it does around each execution - finding the SQL again, a context, a
result, rows - takes twice the time of the execution, and is left out. Rows are named tuples.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache
from select import POLLIN, poll
from typing import Any

import psycopg
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.pool import PoolProxiedConnection

ValueConverter = Callable[[Any], Any]
_NAME = re.compile(r"%(?:\((\w+)\)s|%)")
MAX_CURSORS = 16  # kept by a connection, each with the rows that it gave last
Rows = list[Any]  # named tuples, with a field for each column


class Prepared:
    """A statement's SQL, and how its values are converted. It takes no `expanding` parameters."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        # By position: of names psycopg would have to find out the order at each execution.
        self.sql = _NAME.sub(lambda found: "%s" if found[1] else "%%", str(compiled))
        self._given: list[tuple[str, Any, ValueConverter | None]] = []
        for name in filter(None, _NAME.findall(str(compiled))):
            bind = binds[name]
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.required:
                self._given.append((bind.key, None, convert))
            else:
                self._given.append(("", convert(bind.value) if convert else bind.value, None))
        self._dialect, self._columns = dialect, list(statement.exported_columns)
        names = [column.key for column in self._columns]
        row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        self._make = row._make
        self._converts: list[tuple[int, ValueConverter]] | None = (
            None  # of columns, when there are rows
        )

    def bind(self, values: Mapping[str, Any]) -> list[Any]:
        """What goes in, in the order in which the SQL asks for it."""
        found = []
        for key, value, convert in self._given:
            if key:
                value = values[key]
            found.append(convert(value) if convert else value)
        return found

    def row_factory(self, _: Any) -> Any:
        """How psycopg makes a row of a tuple."""
        return self._make

    def fetch_all(self, cursor: "psycopg.Cursor[Any]") -> Rows:
        """What came out."""
        if not self._columns:
            return []
        rows = cursor.fetchall()
        if self._converts is None:
            self._converts = list(self._find_converts(cursor.description))
        for n, convert in self._converts:
            rows = [self._make((*row[:n], convert(row[n]), *row[n + 1 :])) for row in rows]
        return rows

    def _find_converts(self, description: Any) -> Any:
        for n, (column, described) in enumerate(zip(self._columns, description, strict=True)):
            to_python = column.type.dialect_impl(self._dialect)
            convert = to_python.result_processor(self._dialect, described.type_code)
            if convert:
                yield n, convert


@lru_cache(maxsize=2048)
def _prepare(statement: Any, dialect: Dialect) -> Prepared:
    return Prepared(statement, dialect)


def execute_autocommit(
    engine: Engine, statement: Any, values: Mapping[str, Any], *, only_once: bool = False
) -> Rows:
    """All rows of a statement that is a transaction by itself, in one round trip.

    Args:
        only_once: it cannot be sent again should the connection turn out to be closed, so that is
            looked for before.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    try:
        lent = engine.raw_connection()
        while only_once and _has_unsolicited_data(lent.driver_connection):
            lent.invalidate()
            lent = engine.raw_connection()
    except psycopg.Error as error:
        Connection._handle_dbapi_exception_noconnection(error, engine.dialect, engine)
    driver: Any = lent.driver_connection
    try:
        # No BEGIN, no ROLLBACK. Its property looks for a transaction first, 7 µs each request.
        driver._autocommit = True
        return _run(engine, lent, None, statement, values)
    finally:
        if lent.is_valid:
            driver._autocommit = False
        lent.close()


def _has_unsolicited_data(driver: Any) -> bool:
    """Whether something arrived that nobody asked for: mostly, that the server goes down."""
    if driver.closed:
        return True
    arrived = poll()
    arrived.register(driver.fileno(), POLLIN)
    return bool(arrived.poll(0))


def execute_in_transaction(
    connection: Connection, statement: Any, values: Mapping[str, Any]
) -> Rows:
    """All rows of a statement, which is part of the connection's transaction.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    return _run(connection.engine, connection.connection, connection, statement, values)


def _cursor(lent: PoolProxiedConnection, prepared: Prepared) -> "psycopg.Cursor[Any]":
    """The statement's own cursor on the connection: it knows how values go in and come out."""
    cursors: dict[Prepared, psycopg.Cursor[Any]] = lent.info.setdefault("cursors", {})
    if prepared not in cursors:
        if len(cursors) >= MAX_CURSORS:
            cursors.clear()
        driver: Any = lent.driver_connection
        cursors[prepared] = driver.cursor(binary=True, row_factory=prepared.row_factory)
    return cursors[prepared]


def _run(
    engine: Engine,
    lent: PoolProxiedConnection,
    connection: Connection | None,
    statement: Any,
    values: Mapping[str, Any],
) -> Rows:
    prepared = _prepare(statement, engine.dialect)
    sql, parameters = prepared.sql, prepared.bind(values)
    cursor: Any = _cursor(lent, prepared)
    for tell in engine.dispatch.before_cursor_execute:  # whoever counts queries
        tell(connection, cursor, sql, parameters, None, False)
    try:
        cursor.execute(sql, parameters)
        rows = prepared.fetch_all(cursor)
    except psycopg.Error as error:
        # Names the error, tells who listens for errors, and drops a connection that is broken.
        lent.info["cursors"].pop(prepared)  # is closed after an error
        connection = connection or Connection(engine, lent)
        connection._handle_dbapi_exception(error, sql, parameters, cursor, None)
    for tell in engine.dispatch.after_cursor_execute:
        tell(connection, cursor, sql, parameters, None, False)
    return rows

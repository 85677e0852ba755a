"""Constant statements that are compiled once and executed by psycopg (PostgreSQL only).

SQLAlchemy compiles the SQL, converts values in both directions and provides the connection.
"""

# SQLAlchemy's cache lookup, execution context and result take twice the time of the execution
# itself, so they are skipped: docs/decisions.md#14-compiled-statements-on-psycopg

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Dialect, Engine

from app.core.database.errors import AnyConnection, driver_connection, translate_error
from app.core.database.listeners import after_statement, before_statement

ValueConverter = Callable[[Any], Any]
Values = Mapping[str, Any]  # by the key of the bind parameter
Rows = list[Any]  # named tuples, with a field for each column
MAX_CURSORS = 16  # per connection; each keeps the rows of its last execution


class PreparedStatement:
    """The SQL of a statement, and the conversion of its parameters and rows.

    A bind parameter with a value is a constant. `expanding` parameters are not supported.
    """

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._constants: dict[str, Any] = {}
        self._variables: list[tuple[str, str, ValueConverter | None]] = []  # name in SQL, key
        for bind, name in compiled.bind_names.items():
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.required:
                self._variables.append((name, bind.key, convert))
            else:
                self._constants[name] = convert(bind.value) if convert else bind.value
        self._dialect, self._columns = dialect, list(statement.exported_columns)
        names = [column.key for column in self._columns]
        row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        self._make = row._make
        self.row_factory: Any = lambda _cursor: row._make  # as psycopg asks for it
        self._converters: list[tuple[int, ValueConverter]] | None = None  # known with a result

    def bind(self, values: Values) -> dict[str, Any]:
        """Return the parameters of the SQL; `values` has the keys of the bind parameters."""
        parameters = self._constants.copy()
        for name, key, convert in self._variables:
            value = values[key]
            parameters[name] = convert(value) if convert else value
        return parameters

    def fetch_all(self, cursor: "psycopg.Cursor[Any]") -> Rows:
        """Return the rows of the last execution, with values as SQLAlchemy returns them."""
        if not self._columns:
            return []
        rows = cursor.fetchall()
        if self._converters is None:
            self._converters = list(self._find_converters(cursor.description))
        for n, convert in self._converters:
            rows = [self._make((*row[:n], convert(row[n]), *row[n + 1 :])) for row in rows]
        return rows

    def _find_converters(self, description: Any) -> Iterator[tuple[int, ValueConverter]]:
        for n, (column, described) in enumerate(zip(self._columns, description, strict=True)):
            impl = column.type.dialect_impl(self._dialect)
            if convert := impl.result_processor(self._dialect, described.type_code):
                yield n, convert


prepare = lru_cache(maxsize=2048)(PreparedStatement)


def execute_autocommit(engine: Engine, statement: Any, values: Values) -> Rows:
    """Execute a statement that is a transaction by itself, in one round trip; return its rows.

    Raises:
        DBAPIError: as SQLAlchemy raises it.
    """
    try:
        pooled = engine.raw_connection()  # in autocommit: docs/decisions.md#15-autocommit-pool
    except psycopg.Error as error:
        raise translate_error(error, engine) from error
    try:
        return execute(engine, pooled, statement, values)
    finally:
        pooled.close()


def execute(engine: Engine, connection: AnyConnection, statement: Any, values: Values) -> Rows:
    """Execute a statement on a connection, in its transaction if it has one; return its rows.

    Raises:
        DBAPIError: as SQLAlchemy raises it.
    """
    prepared = prepare(statement, engine.dialect)
    cursors = connection.info.setdefault("cursors", {})
    cursor = cursors.get(prepared)
    if cursor is None:
        # A cursor per statement: psycopg keeps in it how parameters and columns are converted.
        if len(cursors) >= MAX_CURSORS:
            cursors.clear()
        driver = driver_connection(connection)
        cursor = cursors[prepared] = driver.cursor(binary=True, row_factory=prepared.row_factory)
    sql, parameters = prepared.sql, prepared.bind(values)
    for listener in before_statement:
        listener(engine, sql, parameters)
    try:
        cursor.execute(sql, parameters)
        rows = prepared.fetch_all(cursor)
    except psycopg.Error as error:
        cursors.pop(prepared).close()
        raise translate_error(error, engine, connection, sql) from error
    for listener in after_statement:
        listener(engine, sql, parameters)
    return rows

"""Bulk inserts with COPY, and lists of values as one parameter."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import JSON, ColumnElement, Table, Text, bindparam, cast, func, insert

from app.core.database.engine import to_json
from app.core.database.errors import driver_connection, translate_error
from app.core.database.execute import execute_in_transaction
from app.extensions import db

Row = Mapping[str, Any]  # values by column
COPY_THRESHOLD = 500  # rows; below that, COPY's additional round trips cost more than it saves
COPY_CHUNK = 250  # rows; PostgreSQL stores a chunk while the next one is built


def json_array_param() -> ColumnElement[str]:
    """Return a column of the texts in the bind parameter `listed`, a JSON array as text.

    So a list of any length is one parameter, and the statement stays a constant.
    """
    listed = bindparam("listed", type_=Text())
    if db.engine.dialect.name == "postgresql":
        values = func.json_array_elements_text(cast(listed, JSON(none_as_null=True)))
        return values.table_valued("value").render_derived().c.value
    return func.json_each(listed).table_valued("value").c.value


def plan_each_time() -> None:
    """Have the statements of this transaction planned for the tables as they are at each execution.

    A plan that is kept for a prepared statement was made for the table as it was, and an import
    makes it grow: docs/decisions.md#39-imports-in-batches
    """
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_custom_plan")


def by_columns(rows: Iterable[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    """Return the rows in lists whose rows have the same columns: one statement inserts a list."""
    groups: dict[frozenset[str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(frozenset(row), []).append(row)
    return groups.values()


def insert_rows(table: Table, rows: Iterable[Row]) -> None:
    """Insert rows in the transaction of `db.session`; many rows by COPY on PostgreSQL.

    Args:
        rows: each has all columns of the table, by name and in the same order. They are consumed
            in chunks, so a generator of any length takes little memory.

    Raises:
        SQLAlchemyError: as raised by SQLAlchemy.
    """
    rest = iter(rows)
    first = list(islice(rest, COPY_THRESHOLD))
    if len(first) == 1:
        execute_in_transaction(_insert_one(table), first[0])
        return
    connection = db.session.connection()
    # An import writes thousands of rows per transaction: docs/decisions.md#39-imports-in-batches
    if connection.dialect.name == "postgresql" and len(first) == COPY_THRESHOLD:
        try:
            _copy(driver_connection(connection), table, first, rest)
        except psycopg.Error as error:
            raise translate_error(error, connection.engine, connection) from error
    elif first:
        connection.execute(insert(table), [*first, *rest])


def _copy(driver: Any, table: Table, first: list[Row], rest: Iterator[Row]) -> None:
    copy_in = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, first[0]))
    )
    chunk = first
    with driver.cursor() as cursor, cursor.copy(copy_in) as copy:
        while chunk:
            # By column: values of one column have one type, and are often all the same.
            columns = zip(*[row.values() for row in chunk], strict=True)
            lines = map("\t".join, zip(*map(_copy_text, columns), strict=True))
            copy.write("\n".join(lines) + "\n")
            chunk = list(islice(rest, COPY_CHUNK))


def _copy_text(column: Sequence[Any]) -> Sequence[str]:
    """Return the values of a column in COPY's text format."""
    # psycopg's `write_row` converts value by value, which takes five times as long.
    if len(set(map(id, column))) == 1 < len(column):
        return [*_copy_text(column[:1])] * len(column)
    types = set(map(type, column))
    texts = column if types == {str} else [_TEXT_CONVERTERS.get(type(v), str)(v) for v in column]
    if _SPECIAL.search("".join(texts)):
        texts = [text.translate(_ESCAPES) for text in texts]
    if type(None) in types:
        texts = [r"\N" if v is None else t for v, t in zip(column, texts, strict=True)]
    return texts


_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_SPECIAL = re.compile(r"[\\\t\n\r]")
_TEXT_CONVERTERS: dict[type, Callable[[Any], str]] = {
    UUID: attrgetter("hex"),
    dict: to_json,
    list: to_json,
}


@lru_cache(maxsize=256)
def _insert_one(table: Table) -> Any:
    return insert(table).values({c.name: bindparam(c.name, type_=c.type) for c in table.c})

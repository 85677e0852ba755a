"""Bulk inserts with COPY, and lists of values as one parameter."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Any
from uuid import UUID

from psycopg import sql
from sqlalchemy import (
    JSON,
    ColumnElement,
    Table,
    Text,
    bindparam,
    cast,
    func,
    insert,
)

from app.core.database.engine import to_json
from app.core.database.execute import execute_in_transaction
from app.extensions import db

COPY_THRESHOLD = 500  # rows, from which on COPY is worth its own round trips
COPY_CHUNK = 250  # rows at a time, so that PostgreSQL works while we write the next


def json_array_param() -> ColumnElement[str]:
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
    some = list(islice(rest, COPY_THRESHOLD))
    if len(some) == 1:
        execute_in_transaction(_insert_one(table), some[0])
        return
    connection = db.session.connection()
    if connection.dialect.name != "postgresql" or len(some) < COPY_THRESHOLD:
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
            lines = map("\t".join, zip(*map(_copy_text, columns), strict=True))
            copy.write("\n".join(lines) + "\n")
            some = list(islice(rest, COPY_CHUNK))


def _copy_text(column: Sequence[Any]) -> Sequence[str]:
    """Values as COPY's text format has them. Psycopg, value by value, takes five times as long."""
    if len(set(map(id, column))) == 1 < len(column):
        return [*_copy_text(column[:1])] * len(column)
    kinds = set(map(type, column))
    texts = column if kinds == {str} else [_TEXT_CONVERTERS.get(type(v), str)(v) for v in column]
    if _SPECIAL.search("".join(texts)):
        texts = [text.translate(_ESCAPES) for text in texts]
    if type(None) in kinds:
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

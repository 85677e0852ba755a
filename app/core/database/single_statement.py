"""A write together with its audit rows and further writes, as one SQL statement on PostgreSQL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    Select,
    Table,
    bindparam,
    cast,
    insert,
    select,
)

from app.core.database import prepared
from app.core.database.bulk import insert_rows
from app.core.database.execute import can_autocommit, execute_in_transaction
from app.extensions import db

_AuditRows = Sequence[tuple[Table, Iterable[Any]]]
_FurtherStatement = Callable[[CTE | None], Any]


def execute_with_audit(
    statement: Any, values: Mapping[str, Any], told: _AuditRows, *others: _FurtherStatement
) -> Sequence[Any]:
    """All rows of a constant INSERT, UPDATE or DELETE that returns some, which are told of.

    In one round trip where that can be, else in the transaction of the request.

    Args:
        others: each makes a further statement with the same values, which writes only if this one
            does: of the rows written, or of None where they were written before.
    """
    if can_autocommit():
        return execute_with_audit_autocommit(statement, values, told, *others)
    written = execute_in_transaction(statement, values)
    if written:
        for make in others:
            execute_in_transaction(make(None), values)
        for table, rows in told:
            insert_rows(table, rows)
    return written


def execute_with_audit_autocommit(
    statement: Any, values: Mapping[str, Any], told: _AuditRows, *others: _FurtherStatement
) -> Sequence[Any]:
    """All rows of a constant INSERT, UPDATE or DELETE that returns some, in one round trip.

    With each that it writes, what tells of it is written; a callable in that makes SQL of the row
    that was written. Use it where `is_alone()` says so.
    """
    rows = {f"told_{n}_{k}": row[k] for n, (_, [row]) in enumerate(told) for k in row}
    made = tuple((name, value) for name, value in rows.items() if callable(value))
    statement = _build_cte_statement(statement, tuple(table for table, _ in told), others, made)
    return prepared.execute_autocommit(db.engine, statement, {**values, **rows})


@lru_cache(maxsize=256)
def _build_cte_statement(
    statement: Any,
    tables: Sequence[Table],
    others: Sequence[_FurtherStatement],
    made: Sequence[tuple[str, _FurtherStatement]],
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

"""A write together with its audit rows and further writes, as one SQL statement on PostgreSQL."""

# A transaction costs four round trips, this costs one, and the write cannot be executed without
# its audit rows: docs/decisions.md#13-single-statement-writes

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from app.core.database import prepared
from app.core.database.errors import OutcomeUnknownError
from app.core.resources.audit_log import Change, change_rows
from app.extensions import db

FurtherStatement = Callable[[sa.CTE | None], Any]
_Expressions = tuple[tuple[str, sa.ColumnElement[Any]], ...]


@dataclass(frozen=True, slots=True, eq=False)
class AuditedWrite:
    """An INSERT, UPDATE or DELETE that returns rows, and what the audit log records of each.

    `before` and `after` are SQL for JSON objects; they read from `written`, the CTE of the
    statement, and from CTEs that the statement itself reads.
    """

    action: str
    resource: str
    statement: Any
    written: sa.CTE
    before: sa.ColumnElement[Any] | None = None
    after: sa.ColumnElement[Any] | None = None


def execute_audited(
    write: AuditedWrite, values: Mapping[str, Any], further: Sequence[FurtherStatement] = ()
) -> Sequence[Any]:
    """The rows that the statement returns, written with their audit rows in one round trip.

    Use it only where `execute.can_autocommit()`.

    Raises:
        OutcomeUnknownError: the connection broke; the write may have been done.
        DBAPIError: as SQLAlchemy raises it; nothing was written.

    Args:
        values: of the parameters of all statements.
        further: each builds another statement from the CTE of the rows written; constant functions,
            because the combined statement is compiled once.
    """
    change = Change(write.action, write.resource, write.written.c.id, write.before, write.after)
    rows = [(table, row) for table, rows in change_rows([change]) for row in rows]
    audit = dict(_numbered(rows))
    expressions = tuple((k, v) for k, v in audit.items() if isinstance(v, sa.ColumnElement))
    tables = tuple(table for table, _ in rows)
    statement = _combined_statement(write, tables, expressions, tuple(further))
    try:
        return prepared.execute_autocommit(db.engine, statement, {**values, **audit})
    except DBAPIError as error:
        raise OutcomeUnknownError.replace(error) from error


def _numbered(rows: Sequence[tuple[sa.Table, Mapping[str, Any]]]) -> Iterator[tuple[str, Any]]:
    for n, (_, row) in enumerate(rows):
        for name, value in row.items():
            yield f"audit_{n}_{name}", value


@lru_cache(maxsize=256)
def _combined_statement(
    write: AuditedWrite,
    tables: Sequence[sa.Table],
    expressions: _Expressions,
    further: Sequence[FurtherStatement],
) -> sa.Select[Any]:
    computed = dict(expressions)

    def value(name: str, type_: Any) -> Any:
        # A parameter in the select list of an INSERT's CTE has no type that could be inferred.
        return computed.get(name, sa.cast(sa.bindparam(name, type_=type_), type_))

    combined = sa.select(*write.written.c)
    for n, make in enumerate(further):
        combined = combined.add_cte(make(write.written).cte(f"further_{n}"))
    for n, table in enumerate(tables):
        row = sa.select(*(value(f"audit_{n}_{c.name}", c.type) for c in table.c))
        insert = sa.insert(table).from_select(
            list(table.c), row.select_from(write.written), include_defaults=False
        )
        combined = combined.add_cte(insert.cte(f"audit_{n}"))
    return combined

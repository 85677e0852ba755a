"""Writes of thousands of rows that were validated and locked before, with their audit rows.

Call both functions within one `audit_log.batch_changes()`, which inserts all audit rows at its end,
with COPY where they are many.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from app.core.database import bulk
from app.core.database.ids import uuid7
from app.core.database.types import now
from app.core.resources import statements
from app.core.resources.audit_log import Change, log_change
from app.core.resources.audit_values import Values, recorded_columns, stored_values
from app.core.resources.row_values import column_defaults
from app.core.resources.statements import table_of
from app.core.schemas.base import Schema
from app.extensions import db


def bulk_create(model: type[Any], rows: Iterable[Values], schema: Schema) -> None:
    """Insert rows, of values by column; many of them with COPY on PostgreSQL."""
    table = table_of(model)
    defaults = dict.fromkeys(table.c.keys()) | column_defaults(model)
    changes: list[Change] = []

    def complete() -> Iterator[Values]:
        # Between two chunks of a COPY, while PostgreSQL stores the first: this costs no time.
        for values in rows:
            row = {**defaults, "id": uuid7(), **values}
            after = stored_values(table, {name: row[name] for name in schema.column_names})
            changes.append(Change("create", table.name, row["id"], after=after))
            yield row

    bulk.insert_rows(table, complete())
    for change in changes:
        log_change(change)


def bulk_update(model: Any, updates: Sequence[tuple[sa.Row[Any], Values]], schema: Schema) -> None:
    """Update rows, each with its own new values, in one call of the driver.

    Args:
        updates: locked rows with the columns of the schema, and new values by column.
    """
    table, moment = table_of(model), now()
    changed = {name for _, values in updates for name in values}
    names = tuple(name for name in schema.column_names if name in changed)
    params = []
    for row, values in updates:
        new = {**row._mapping, **values}
        params.append({f"new_{name}": new[name] for name in names})
        params[-1] |= {"new_updated_at": moment, "item_id": row.id}
        recorded = recorded_columns(schema, tuple(values))
        before, after = ({n: of[n] for n in recorded} for of in (row._mapping, new))
        before, after = stored_values(table, before), stored_values(table, after)
        log_change(Change("update", table.name, row.id, before, after))
    if params:
        db.session.connection().execute(statements.update_many(model, names), params)

"""Every change is told here, within its transaction; `app.audit` listens and writes it down."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from blinker import Signal
from flask import has_request_context, request
from sqlalchemy import CTE, ColumnElement, Table

from app.core.database import bulk
from app.core.security.authorization import current_caller_or_anonymous
from app.core.web.client_address import client_address
from app.core.web.request_state import request_state

SqlExpressionFactory = Callable[
    [CTE], ColumnElement[Any]
]  # by the database, of the row that it has written
TableRows = tuple[
    Table, Iterable[Mapping[str, Any]]
]  # whole rows, which tell of changes, for a table

changes_committing = Signal(
    "Changes that are about to be committed; the sender is a tuple of `Change`. A receiver returns"
    " the rows to commit with them, as `Told`."
)

_BOOKKEEPING_COLUMNS = ("version", "updated_at")  # they change with everything, and say nothing


@dataclass(frozen=True, slots=True)
class AuditContext:
    """Who makes changes, from where, and the request that they go back to."""

    actor_id: UUID | None = None
    address: str | None = None
    request_id: str | None = None


# Outside of requests: whoever asked for the job that is being done.
job_audit_context: ContextVar[AuditContext] = ContextVar("job_origin", default=AuditContext())  # noqa: B039 - frozen


def current_audit_context() -> AuditContext:
    """Whose doing the changes are that are being made."""
    if not has_request_context():
        return job_audit_context.get()
    return AuditContext(
        current_caller_or_anonymous().id, client_address(request), request_state().request_id
    )


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to what. `before` and `after` hold the members that differ, never secrets."""

    action: str
    resource: str
    resource_id: UUID | SqlExpressionFactory | None
    before: dict[str, Any] | SqlExpressionFactory | None
    after: dict[str, Any] | SqlExpressionFactory | None


def log_change(
    action: str,
    resource: str,
    resource_id: UUID | None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Tell of a change; call it in the transaction that makes it.

    Args:
        action: create, change, delete, or a verb of the resource's own.
        resource: the name of the table.
        before: members as they were, as they are given out.
        after: members as they are now.
    """
    change = build_change(action, resource, resource_id, before, after)
    pending = request_state().pending_changes
    if pending is not None:
        pending.append(change)
    else:
        insert_change_rows([change])


def build_change(
    action: str,
    resource: str,
    resource_id: UUID | None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> Change:
    """A change; of something that was before and is after, with the members that differ."""
    if before is not None and after is not None:
        differing = [
            k for k in after if before.get(k) != after[k] and k not in _BOOKKEEPING_COLUMNS
        ]
        before = {name: before.get(name) for name in differing}
        after = {name: after[name] for name in differing}
    return Change(action, resource, resource_id, before, after)


def change_rows(*changes: Change) -> list[TableRows]:
    """The rows that tell of the changes, to be written with them."""
    return [tell(changes) for tell in changes_committing.receivers_for(changes)]


def insert_change_rows(changes: Sequence[Change]) -> None:
    """Write the rows that tell of the changes, in the transaction that makes them."""
    for table, rows in change_rows(*changes):
        bulk.insert_rows(table, rows)


@contextmanager
def batch_changes() -> Iterator[None]:
    """Tell of all changes that are made within at its end, so that one statement writes them."""
    state = request_state()
    changes: list[Change] = []
    state.pending_changes = changes
    try:
        yield
    finally:
        state.pending_changes = None
    if changes:
        insert_change_rows(changes)

"""The audit log: every change is recorded in the transaction that makes it.

This module knows who changed what; `app.audit` listens to `changes_committing` and provides the
rows. Without a listener nothing is recorded.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from blinker import Signal
from flask import has_request_context, request

from app.core.database import bulk
from app.core.security.authorization import current_caller_or_anonymous
from app.core.web.client_address import client_address
from app.core.web.request_state import request_state

TableRows = tuple[sa.Table, Iterable[Mapping[str, Any]]]  # each row has all columns of the table

changes_committing = Signal(
    "Changes that are about to be committed; the sender is a tuple of `Change`. A receiver returns"
    " `TableRows` to commit with them, or None."
)


@dataclass(frozen=True, slots=True)
class AuditContext:
    """Who makes changes, from where, and in which request."""

    actor_id: UUID | None = None
    ip_address: str | None = None
    request_id: str | None = None


# Outside of requests: the context of the request that created the job.
job_audit_context: ContextVar[AuditContext] = ContextVar(
    "job_audit_context",
    default=AuditContext(),  # noqa: B039 - frozen
)


def current_audit_context() -> AuditContext:
    """The context of changes in the current request or job."""
    if not has_request_context():
        return job_audit_context.get()
    return AuditContext(
        current_caller_or_anonymous().id, client_address(request), request_state().request_id
    )


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to which row.

    `resource` is the name of the table; `before` and `after` hold the columns that were set, as
    `audit_values` stores them. In a single-statement write `resource_id`, `before` and `after` are
    SQL expressions, which a receiver puts into its rows as they are.
    """

    action: str
    resource: str
    resource_id: UUID | sa.ColumnElement[Any] | None
    before: dict[str, Any] | sa.ColumnElement[Any] | None = None
    after: dict[str, Any] | sa.ColumnElement[Any] | None = None


def log_change(change: Change) -> None:
    """Record a change; call it in the transaction that makes it.

    The repository calls it for create, update and delete, a feature for verbs of its own.
    """
    # In a batch the changes are collected, so that one statement inserts all audit rows.
    pending = request_state().pending_changes
    if pending is not None:
        pending.append(change)
    else:
        _insert_change_rows([change])


def change_rows(changes: Sequence[Change]) -> list[TableRows]:
    """The rows that the receivers return, to be committed with the changes."""
    results = changes_committing.send(tuple(changes))
    return [rows for _, rows in results if rows is not None]


def _insert_change_rows(changes: Sequence[Change]) -> None:
    for table, rows in change_rows(changes):
        bulk.insert_rows(table, rows)


@contextmanager
def batch_changes() -> Iterator[None]:
    """Record the changes of the `with` block at its end; one statement inserts their rows."""
    state = request_state()
    changes: list[Change] = []
    state.pending_changes = changes
    try:
        yield
    finally:
        state.pending_changes = None
    if changes:
        _insert_change_rows(changes)

"""Audit events: one row for each change, written in the transaction of the change."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, Select, Text, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import ResourceMixin
from app.core.database.types import now
from app.core.resources.audit_log import (
    Change,
    TableRows,
    changes_committing,
    current_audit_context,
)
from app.extensions import Base


class AuditEvent(ResourceMixin, Base):
    """One change. `app.core.resources.audit_values` defines the format of `before` and `after`."""

    __tablename__ = "audit_events"

    # No foreign keys: an event outlives the account and the row (docs/decisions.md#43-audit-log).
    actor_id: Mapped[UUID | None] = mapped_column(Uuid())
    action: Mapped[str] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[UUID | None] = mapped_column(Uuid())
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    ip_address: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)


ALL_EVENTS: "Select[AuditEvent]" = select(AuditEvent)
Index("ix_audit_events_created_at_id", AuditEvent.created_at, AuditEvent.id)
Index("ix_audit_events_resource_id", AuditEvent.resource_id, AuditEvent.created_at, AuditEvent.id)
Index("ix_audit_events_actor_id", AuditEvent.actor_id, AuditEvent.created_at, AuditEvent.id)


@changes_committing.connect
def build_audit_rows(changes: tuple[Change, ...]) -> TableRows:
    """Return the table of events, and one row of it for each change."""
    context, moment = current_audit_context(), now()
    events = (
        {
            "id": uuid7(),
            "created_at": moment,
            "updated_at": moment,
            "action": change.action,
            "resource": change.resource,
            "resource_id": change.resource_id,
            "before": change.before,
            "after": change.after,
            "actor_id": context.actor_id,
            "ip_address": context.ip_address,
            "request_id": context.request_id,
            "version": 1,
        }
        for change in changes
    )
    return AuditEvent.__table__, events  # type: ignore[return-value]

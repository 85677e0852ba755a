"""Audit events: what was changed, written in the transaction that changed it."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, Select, Text, Uuid, select
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.changes import Change, Told, origin, recorded
from app.kit.model import Base, Resource, now, uuid7


class AuditEvent(Resource, Base):
    """One change. It outlives the account of who made it, so it refers to nothing."""

    __tablename__ = "audit_events"

    actor_id: Mapped[UUID | None] = mapped_column(Uuid())
    action: Mapped[str] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(Text)
    resource_id: Mapped[UUID | None] = mapped_column(Uuid())
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    address: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(Text)


EVERYTHING: "Select[AuditEvent]" = select(AuditEvent)
Index("ix_audit_events_created_at_id", AuditEvent.created_at, AuditEvent.id)
Index("ix_audit_events_resource_id", AuditEvent.resource_id, AuditEvent.created_at, AuditEvent.id)
Index("ix_audit_events_actor_id", AuditEvent.actor_id, AuditEvent.created_at, AuditEvent.id)


@recorded.connect
def tell(changes: tuple[Change, ...]) -> Told:
    """An event for each change."""
    who, moment = origin(), now()
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
            "actor_id": who.actor_id,
            "address": who.address,
            "request_id": who.request_id,
            "version": 1,
        }
        for change in changes
    )
    return AuditEvent.__table__, events  # type: ignore[return-value]

"""Audit events: what was changed, written in the transaction that changed it."""

from typing import Any
from uuid import UUID

from flask import g, has_request_context, request
from sqlalchemy import JSON, Index, Select, Text, Uuid, insert, select
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import db
from app.kit import json
from app.kit.access import known_caller
from app.kit.changes import Change, recorded
from app.kit.model import Base, Resource


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


_INSERT = insert(AuditEvent)


@recorded.connect
def write_down(changes: tuple[Change, ...]) -> None:
    """Add the events to the transaction of the changes."""
    origin: dict[str, Any] = {}
    if has_request_context():
        origin = {
            "actor_id": known_caller().id,
            "address": request.remote_addr,
            "request_id": g.get("request_id"),
        }
    events = [
        {
            "action": change.action,
            "resource": change.resource,
            "resource_id": change.resource_id,
            "before": _plain(change.before),
            "after": _plain(change.after),
            **origin,
        }
        for change in changes
    ]
    db.session.connection().execute(_INSERT, events)


def _plain(members: dict[str, Any] | None) -> Any:
    """Members as JSON has them: identifiers and instants are strings."""
    return None if members is None else json.loads(json.dumps(members))

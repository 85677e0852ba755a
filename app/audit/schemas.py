"""Schemas of the audit routes."""

from typing import Any

import marshmallow as ma

from app.audit.models import AuditEvent
from app.core.resources.audit_values import shown_change
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import UUID, DateTime, String


class AuditEventSchema(ResourceSchema):
    """A change and its author."""

    actor_id = UUID(dump_only=True, allow_none=True)
    action = String(max_length=50, dump_only=True, metadata={"example": "update"})
    resource = String(max_length=63, dump_only=True, metadata={"example": "users"})
    resource_id = UUID(dump_only=True, allow_none=True)
    before = ma.fields.Dict(
        dump_only=True, allow_none=True, metadata={"example": {"price": "12.50"}}
    )
    after = ma.fields.Dict(
        dump_only=True, allow_none=True, metadata={"example": {"price": "11.00"}}
    )
    ip_address = String(max_length=100, dump_only=True, allow_none=True)
    request_id = String(max_length=128, dump_only=True, allow_none=True)

    def row_to_dict(self, row: Any) -> dict[str, Any]:
        """Return the event; `before` and `after` have the members of the resource's schema."""
        event = super().row_to_dict(row)
        before, after = shown_change(event["resource"], event["before"], event["after"])
        return event | {"before": before, "after": after}


class AuditEventQuery(PageQuery):
    """Filters and order of audit events."""

    actor_id = filter_by(UUID(), lambda value: AuditEvent.actor_id == value)
    action = filter_by(
        String(min_length=1, max_length=50, metadata={"example": "update"}),
        lambda value: AuditEvent.action == value,
    )
    resource = filter_by(
        String(min_length=1, max_length=63), lambda value: AuditEvent.resource == value
    )
    resource_id = filter_by(UUID(), lambda value: AuditEvent.resource_id == value)
    request_id = filter_by(
        String(min_length=1, max_length=128), lambda value: AuditEvent.request_id == value
    )
    created_from = filter_by(DateTime(), lambda value: AuditEvent.created_at >= value)
    created_to = filter_by(DateTime(), lambda value: AuditEvent.created_at < value)
    sort = Sort({"created_at": AuditEvent.created_at}, default="-created_at")

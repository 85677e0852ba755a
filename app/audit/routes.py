"""Audit events: those who may, read what was changed; nobody changes that."""

from uuid import UUID

from app.audit.models import EVERYTHING
from app.audit.schemas import AuditEventQuery, AuditEventSchema
from app.kit.access import can
from app.kit.blueprint import Blueprint
from app.kit.rows import Visible

audit_events = Blueprint(
    "audit-events", __name__, url_prefix="/audit-events", description="Who changed what."
)


@audit_events.get("", access=can("audit:read"))
@audit_events.page(AuditEventSchema, AuditEventQuery)
def list_audit_events() -> Visible:
    """List changes."""
    return EVERYTHING


@audit_events.get("/<uuid:event_id>", access=can("audit:read"))
@audit_events.item(AuditEventSchema)
def read_audit_event(event_id: UUID) -> Visible:
    """Read a change."""
    return EVERYTHING

"""Routes of audit events, which are read-only."""

from uuid import UUID

from app.audit.models import ALL_EVENTS
from app.audit.schemas import AuditEventQuery, AuditEventSchema
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import permission

audit_events = Blueprint(
    "audit-events", __name__, url_prefix="/api/v1/audit-events", description="The audit log."
)


@audit_events.get("", access=permission("audit:read"))
@audit_events.paginated(AuditEventSchema, AuditEventQuery)
def list_audit_events() -> ScopedSelect:
    """List audit events."""
    return ALL_EVENTS


@audit_events.get("/<uuid:event_id>", access=permission("audit:read"))
@audit_events.returns(AuditEventSchema)
def read_audit_event(event_id: UUID) -> ScopedSelect:
    """Read an audit event."""
    return ALL_EVENTS

"""What the audit routes give."""

import marshmallow as ma

from app.audit.models import AuditEvent
from app.kit.fields import Text, Timestamp
from app.kit.pages import PageQuery, Sort, where
from app.kit.schema import ResourceSchema


class AuditEventSchema(ResourceSchema):
    """A change, and who made it."""

    actor_id = ma.fields.UUID(dump_only=True, allow_none=True)
    action = Text(most=50, dump_only=True, metadata={"example": "change"})
    resource = Text(most=63, dump_only=True, metadata={"example": "products"})
    resource_id = ma.fields.UUID(dump_only=True, allow_none=True)
    before = ma.fields.Dict(
        dump_only=True, allow_none=True, metadata={"example": {"price": "12.50"}}
    )
    after = ma.fields.Dict(
        dump_only=True, allow_none=True, metadata={"example": {"price": "11.00"}}
    )
    address = Text(most=100, dump_only=True, allow_none=True)
    request_id = Text(most=128, dump_only=True, allow_none=True)


class AuditEventQuery(PageQuery):
    """Which events, in which order."""

    actor_id = where(ma.fields.UUID(), lambda value: AuditEvent.actor_id == value)
    action = where(
        Text(least=1, most=50, metadata={"example": "change"}),
        lambda value: AuditEvent.action == value,
    )
    resource = where(Text(least=1, most=63), lambda value: AuditEvent.resource == value)
    resource_id = where(ma.fields.UUID(), lambda value: AuditEvent.resource_id == value)
    request_id = where(Text(least=1, most=128), lambda value: AuditEvent.request_id == value)
    created_from = where(Timestamp(), lambda value: AuditEvent.created_at >= value)
    created_to = where(Timestamp(), lambda value: AuditEvent.created_at < value)
    sort = Sort({"created_at": AuditEvent.created_at}, default="-created_at")

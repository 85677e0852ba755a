"""Routes of parcels, which are private to their owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller, permission
from app.core.web.problems import Problem
from tests.contract.parcels.models import OWN_STAMPS, Parcel, Stamp
from tests.contract.parcels.schemas import (
    ParcelSchema,
    SendingSchema,
    StampSchema,
)

parcels = Blueprint("parcels", __name__, url_prefix="/api/v1/parcels", description="Parcels.")
OWN = permission("parcels:own")
STAMPS_BY_CREATION = Sort({"created_at": Stamp.created_at}, default="created_at")


@parcels.get("", access=OWN)
@parcels.paginated(ParcelSchema, Sort({"created_at": Parcel.created_at}, default="-created_at"))
def list_parcels() -> ScopedSelect:
    """List the caller's parcels."""
    return Parcel.visible_to(current_caller)


@parcels.post("", access=OWN)
@parcels.body(ParcelSchema)
@parcels.creates(ParcelSchema)
def create_parcel(data: dict[str, Any]) -> Parcel:
    """Pack a parcel."""
    return Parcel(owner_id=current_caller.id, **data)


@parcels.get("/<uuid:parcel_id>", access=OWN)
@parcels.returns(ParcelSchema)
def read_parcel(parcel_id: UUID) -> ScopedSelect:
    """Read a parcel."""
    return Parcel.visible_to(current_caller)


@parcels.patch("/<uuid:parcel_id>", access=OWN)
@parcels.body(ParcelSchema, partial=True)
@parcels.updates(ParcelSchema)
def update_parcel(data: dict[str, Any], parcel_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a parcel."""
    return Parcel.visible_to(current_caller), data


@parcels.delete("/<uuid:parcel_id>", access=OWN)
@parcels.deletes(ParcelSchema)
def delete_parcel(parcel_id: UUID) -> ScopedSelect:
    """Delete a parcel."""
    return Parcel.visible_to(current_caller)


@parcels.post("/<uuid:parcel_id>/send", access=OWN)
@parcels.body(SendingSchema)
@parcels.action(ParcelSchema, Parcel.visible_to, audit="send")
@parcels.error(409, "The parcel is sent already.")
def send_parcel(parcel: Row[Any], data: dict[str, Any], parcel_id: UUID) -> dict[str, Any]:
    """Send a parcel."""
    if parcel.state != "packed":
        raise Problem("conflict", "The parcel is sent already.")
    return {"state": "sent", "attempts": parcel.attempts + 1, **data}


@parcels.post("/<uuid:parcel_id>/deliver", access=OWN)
@parcels.action(ParcelSchema, Parcel.visible_to, audit="deliver")
@parcels.error(409, "The parcel is not on its way.")
def deliver_parcel(parcel: Row[Any], parcel_id: UUID) -> dict[str, Any]:
    """Record that a parcel has arrived."""
    if parcel.state != "sent":
        raise Problem("conflict", "The parcel is not on its way.")
    return {"state": "delivered"}


@parcels.post("/<uuid:parcel_id>/weigh", access=OWN)
@parcels.action(ParcelSchema, Parcel.visible_to, audit="weigh")
def weigh_parcel(parcel: Row[Any], parcel_id: UUID) -> dict[str, Any]:
    """Weigh a parcel, which changes nothing."""
    return {}


@parcels.get("/<uuid:parcel_id>/stamps", access=authenticated)
@parcels.paginated(StampSchema, STAMPS_BY_CREATION, parent=ParcelSchema)
def list_stamps(parcel_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the stamps on a parcel."""
    return OWN_STAMPS, Parcel.visible_to(current_caller)


@parcels.get("/<uuid:parcel_id>/stamps/export", access=authenticated)
@parcels.exports(StampSchema, STAMPS_BY_CREATION, parent=ParcelSchema)
def export_stamps(parcel_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """Export the stamps on a parcel."""
    return OWN_STAMPS, Parcel.visible_to(current_caller)


@parcels.post("/<uuid:parcel_id>/stamps", access=authenticated)
@parcels.body(StampSchema)
@parcels.creates(StampSchema, parent=ParcelSchema)
def create_stamp(data: dict[str, Any], parcel_id: UUID) -> tuple[Stamp, ScopedSelect]:
    """Put a stamp on a parcel."""
    return Stamp(parcel_id=parcel_id, **data), Parcel.visible_to(current_caller)


@parcels.get("/<uuid:parcel_id>/stamps/<uuid:stamp_id>", access=authenticated)
@parcels.returns(StampSchema)
def read_stamp(parcel_id: UUID, stamp_id: UUID) -> ScopedSelect:
    """Read a stamp."""
    return OWN_STAMPS


@parcels.patch("/<uuid:parcel_id>/stamps/<uuid:stamp_id>", access=authenticated)
@parcels.body(StampSchema, partial=True)
@parcels.updates(StampSchema)
def update_stamp(
    data: dict[str, Any], parcel_id: UUID, stamp_id: UUID
) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a stamp."""
    return OWN_STAMPS, data


@parcels.delete("/<uuid:parcel_id>/stamps/<uuid:stamp_id>", access=authenticated)
@parcels.deletes(StampSchema)
def delete_stamp(parcel_id: UUID, stamp_id: UUID) -> ScopedSelect:
    """Remove a stamp."""
    return OWN_STAMPS

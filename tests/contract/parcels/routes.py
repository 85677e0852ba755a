"""Routes of parcels, which are private to their owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller
from app.core.web.problems import Problem
from tests.contract.parcels.models import Parcel
from tests.contract.parcels.schemas import ParcelQuery, ParcelSchema, SendingSchema

parcels = Blueprint("parcels", __name__, url_prefix="/api/v1/parcels", description="Parcels.")


@parcels.get("", access=authenticated)
@parcels.paginated(ParcelSchema, ParcelQuery)
def list_parcels() -> ScopedSelect:
    """List the caller's parcels."""
    return Parcel.visible_to(current_caller)


@parcels.post("", access=authenticated)
@parcels.body(ParcelSchema)
@parcels.creates(ParcelSchema)
def create_parcel(data: dict[str, Any]) -> Parcel:
    """Pack a parcel."""
    return Parcel(owner_id=current_caller.id, **data)


@parcels.get("/<uuid:parcel_id>", access=authenticated)
@parcels.returns(ParcelSchema)
def read_parcel(parcel_id: UUID) -> ScopedSelect:
    """Read a parcel."""
    return Parcel.visible_to(current_caller)


@parcels.patch("/<uuid:parcel_id>", access=authenticated)
@parcels.body(ParcelSchema, partial=True)
@parcels.updates(ParcelSchema)
def update_parcel(data: dict[str, Any], parcel_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a parcel."""
    return Parcel.visible_to(current_caller), data


@parcels.delete("/<uuid:parcel_id>", access=authenticated)
@parcels.deletes(ParcelSchema)
def delete_parcel(parcel_id: UUID) -> ScopedSelect:
    """Delete a parcel."""
    return Parcel.visible_to(current_caller)


@parcels.post("/<uuid:parcel_id>/send", access=authenticated)
@parcels.body(SendingSchema)
@parcels.action(ParcelSchema, Parcel.visible_to, audit="send")
@parcels.error(409, "The parcel is sent already.")
def send_parcel(parcel: Row[Any], data: dict[str, Any], parcel_id: UUID) -> dict[str, Any]:
    """Send a parcel."""
    if parcel.state == "sent":
        raise Problem("conflict", "The parcel is sent already.")
    return {"state": "sent", "attempts": parcel.attempts + 1, **data}


@parcels.post("/<uuid:parcel_id>/weigh", access=authenticated)
@parcels.action(ParcelSchema, Parcel.visible_to, audit="weigh")
def weigh_parcel(parcel: Row[Any], parcel_id: UUID) -> dict[str, Any]:
    """Weigh a parcel, which changes nothing."""
    return {}

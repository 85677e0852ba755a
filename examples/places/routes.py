"""Places: every role reads them, editors write them."""

from typing import Any
from uuid import UUID

from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import current_caller, permission
from examples.places.models import Place
from examples.places.schemas import PlaceSchema

places = Blueprint(
    "places", __name__, url_prefix="/api/v1/places", description="Places, shared by all."
)


@places.get("", access=permission("places:read"))
@places.paginated(PlaceSchema, Sort({"created_at": Place.created_at}, default="-created_at"))
def list_places() -> ScopedSelect:
    """List the places."""
    return Place.visible_to(current_caller)


@places.post("", access=permission("places:write"))
@places.body(PlaceSchema)
@places.creates(PlaceSchema)
def create_place(data: dict[str, Any]) -> Place:
    """Create a place."""
    return Place(**data)


@places.get("/<uuid:place_id>", access=permission("places:read"))
@places.returns(PlaceSchema)
def read_place(place_id: UUID) -> ScopedSelect:
    """Read a place."""
    return Place.visible_to(current_caller)


@places.patch("/<uuid:place_id>", access=permission("places:write"))
@places.body(PlaceSchema, partial=True)
@places.updates(PlaceSchema)
def update_place(data: dict[str, Any], place_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a place."""
    return Place.visible_to(current_caller), data


@places.delete("/<uuid:place_id>", access=permission("places:write"))
@places.deletes(PlaceSchema)
def delete_place(place_id: UUID) -> ScopedSelect:
    """Delete a place."""
    return Place.visible_to(current_caller)

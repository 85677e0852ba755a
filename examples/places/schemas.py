"""The JSON of places, and the query parameters of their list."""

from app.core.resources.filters import PageQuery, Sort
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from examples.places.models import Place


class PlaceSchema(ResourceSchema):
    """A place."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Buy milk"})


class PlaceQuery(PageQuery):
    """The query parameters of the list."""

    sort = Sort({"created_at": Place.created_at}, default="-created_at")

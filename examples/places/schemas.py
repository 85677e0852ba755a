"""The JSON of places."""

from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String


class PlaceSchema(ResourceSchema):
    """A place."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Buy milk"})

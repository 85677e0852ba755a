"""The JSON of notes."""

from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String


class NoteSchema(ResourceSchema):
    """A note."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Buy milk"})

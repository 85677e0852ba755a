"""The JSON of notes, and the query parameters of their list."""

from app.core.resources.filters import PageQuery, Sort
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from examples.notes.models import Note


class NoteSchema(ResourceSchema):
    """A note."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Buy milk"})


class NoteQuery(PageQuery):
    """The query parameters of the list."""

    sort = Sort({"created_at": Note.created_at}, default="-created_at")

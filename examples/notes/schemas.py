"""What the note routes take and give."""

from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from examples.notes.models import Note


class NoteSchema(ResourceSchema):
    """A note."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Milk"})


class NoteQuery(PageQuery):
    """Which of the caller's notes, in which order."""

    q = filter_by(String(min_length=1, max_length=200), lambda words: matches(words, Note.text))
    sort = Sort({"created_at": Note.created_at}, default="-created_at")

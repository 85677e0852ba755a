"""What the note routes take and give."""

from app.kit.fields import Text
from app.kit.pages import PageQuery, Sort, where
from app.kit.schema import ResourceSchema
from app.kit.search import matches
from examples.notes.models import Note


class NoteSchema(ResourceSchema):
    """A note."""

    text = Text(least=1, most=10_000, required=True, metadata={"example": "Milk, bread"})


class NoteQuery(PageQuery):
    """Which of the caller's notes, in which order."""

    q = where(Text(least=1, most=200), lambda words: matches(words, Note.text))
    sort = Sort({"created_at": Note.created_at}, default="-created_at")

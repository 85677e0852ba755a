"""Schemas of the errand routes."""

from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import Boolean, DateTime, Enum, String
from app.core.schemas.text_fields import Name
from tests.errands.models import DUE_AT_KEY, PRIORITIES, Errand


class ErrandSchema(ResourceSchema):
    """An errand."""

    title = Name(max_length=200, required=True, metadata={"example": "Water the plants"})
    description = String(max_length=5000, allow_none=True, metadata={"example": "Not the cactus."})
    done = Boolean(metadata={"example": False})
    priority = Enum(PRIORITIES, metadata={"example": "high"})
    due_at = DateTime(allow_none=True, metadata={"example": "2030-01-31T18:00:00Z"})
    completed_at = DateTime(dump_only=True, allow_none=True)


class ErrandQuery(PageQuery):
    """Filters and order of the list of errands."""

    done = filter_by(Boolean(), lambda value: Errand.done == value)
    priority = filter_by(Enum(PRIORITIES), lambda value: Errand.priority == value)
    due_from = filter_by(DateTime(), lambda value: Errand.due_at >= value)
    due_to = filter_by(DateTime(), lambda value: Errand.due_at < value)
    q = filter_by(
        String(
            min_length=1,
            max_length=200,
            metadata={"description": "Words in the title or description."},
        ),
        lambda words: matches(words, Errand.title, Errand.description),
    )
    sort = Sort(
        {
            "created_at": Errand.created_at,
            "due_at": DUE_AT_KEY,
            "priority": Errand.priority,
            "title": Errand.title,
        },
        default="-created_at",
    )

"""What the task routes take and give."""

from app.kit.fields import Boolean, Choice, Text, Timestamp
from app.kit.pages import PageQuery, Sort, where
from app.kit.schema import ResourceSchema
from app.kit.search import matches
from app.tasks.models import DUE, PRIORITIES, Task


class TaskSchema(ResourceSchema):
    """A task."""

    title = Text(least=1, most=200, required=True, metadata={"example": "Water the plants"})
    description = Text(most=5000, allow_none=True, metadata={"example": "Not the cactus."})
    done = Boolean(metadata={"example": False})
    priority = Choice(PRIORITIES, metadata={"example": "high"})
    due_at = Timestamp(allow_none=True, metadata={"example": "2030-01-31T18:00:00Z"})
    completed_at = Timestamp(dump_only=True, allow_none=True)


class TaskQuery(PageQuery):
    """Which of the caller's tasks, in which order."""

    done = where(Boolean(), lambda value: Task.done == value)
    priority = where(Choice(PRIORITIES), lambda value: Task.priority == value)
    due_from = where(Timestamp(), lambda value: Task.due_at >= value)
    due_to = where(Timestamp(), lambda value: Task.due_at < value)
    q = where(
        Text(least=1, most=200, metadata={"description": "Words of the title or description."}),
        lambda words: matches(words, Task.title, Task.description),
    )
    sort = Sort(
        {
            "created_at": Task.created_at,
            "due_at": DUE,
            "priority": Task.priority,
            "title": Task.title,
        },
        default="-created_at",
    )

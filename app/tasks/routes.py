"""Tasks: everybody has their own, and sees no others."""

from typing import Any
from uuid import UUID

from sqlalchemy import func

from app.kit.access import caller, can
from app.kit.batch import Batch
from app.kit.blueprint import Blueprint
from app.kit.model import now
from app.kit.rows import Visible
from app.tasks.models import Task
from app.tasks.schemas import TaskQuery, TaskSchema

tasks = Blueprint("tasks", __name__, url_prefix="/tasks", description="The caller's tasks.")


@tasks.get("", access=can("tasks:own"))
@tasks.page(TaskSchema, TaskQuery)
def list_tasks() -> Visible:
    """List one's tasks."""
    return Task.visible_to(caller)


@tasks.post("", access=can("tasks:own"))
@tasks.body(TaskSchema)
@tasks.creates(TaskSchema)
def create_task(data: dict[str, Any]) -> Task:
    """Create a task."""
    return Task(owner_id=caller.id, completed_at=now() if data.get("done") else None, **data)


@tasks.get("/export", access=can("tasks:own"), limit="BULK_RATE_LIMIT")
@tasks.export(TaskSchema, TaskQuery)
def export_tasks() -> Visible:
    """Export one's tasks, as CSV or NDJSON."""
    return Task.visible_to(caller)


@tasks.get("/<uuid:task_id>", access=can("tasks:own"))
@tasks.item(TaskSchema)
def read_task(task_id: UUID) -> Visible:
    """Read a task."""
    return Task.visible_to(caller)


@tasks.patch("/<uuid:task_id>", access=can("tasks:own"))
@tasks.body(TaskSchema, partial=True)
@tasks.changes(TaskSchema)
def change_task(data: dict[str, Any], task_id: UUID) -> tuple[Visible, dict[str, Any]]:
    """Change a task; `done` sets and clears `completed_at`."""
    if "done" in data:
        data["completed_at"] = func.coalesce(Task.completed_at, now()) if data["done"] else None
    return Task.visible_to(caller), data


@tasks.delete("/<uuid:task_id>", access=can("tasks:own"))
@tasks.deletes(TaskSchema)
def delete_task(task_id: UUID) -> Visible:
    """Delete a task."""
    return Task.visible_to(caller)


@tasks.post("/batch", access=can("tasks:own"))
@tasks.batch(TaskSchema)
def change_tasks(data: dict[str, Any]) -> Batch:
    """Create, change and delete tasks, up to a hundred: all of it, or nothing."""
    return Batch(data["items"], create_task, change_task, delete_task)

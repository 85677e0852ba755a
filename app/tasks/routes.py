"""Routes of tasks, which are private to their owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import func

from app.core.database.types import now
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import current_caller, permission
from app.tasks.models import Task
from app.tasks.schemas import TaskQuery, TaskSchema

tasks = Blueprint("tasks", __name__, url_prefix="/api/v1/tasks", description="The caller's tasks.")


@tasks.get("", access=permission("tasks:own"))
@tasks.paginated(TaskSchema, TaskQuery)
def list_tasks() -> ScopedSelect:
    """List the caller's tasks."""
    return Task.visible_to(current_caller)


@tasks.post("", access=permission("tasks:own"))
@tasks.body(TaskSchema)
@tasks.creates(TaskSchema)
def create_task(data: dict[str, Any]) -> Task:
    """Create a task."""
    return Task(
        owner_id=current_caller.id, completed_at=now() if data.get("done") else None, **data
    )


@tasks.get("/export", access=permission("tasks:own"), rate_limit="BULK_RATE_LIMIT")
@tasks.exports(TaskSchema, TaskQuery)
def export_tasks() -> ScopedSelect:
    """Export the caller's tasks as CSV or NDJSON."""
    return Task.visible_to(current_caller)


@tasks.get("/<uuid:task_id>", access=permission("tasks:own"))
@tasks.returns(TaskSchema)
def read_task(task_id: UUID) -> ScopedSelect:
    """Read a task."""
    return Task.visible_to(current_caller)


@tasks.patch("/<uuid:task_id>", access=permission("tasks:own"))
@tasks.body(TaskSchema, partial=True)
@tasks.updates(TaskSchema)
def update_task(data: dict[str, Any], task_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Update a task; `done` sets and clears `completed_at`."""
    if "done" in data:
        data["completed_at"] = func.coalesce(Task.completed_at, now()) if data["done"] else None
    return Task.visible_to(current_caller), data


@tasks.delete("/<uuid:task_id>", access=permission("tasks:own"))
@tasks.deletes(TaskSchema)
def delete_task(task_id: UUID) -> ScopedSelect:
    """Delete a task."""
    return Task.visible_to(current_caller)


@tasks.post("/batch", access=permission("tasks:own"))
@tasks.batch(TaskSchema)
def batch_tasks(data: dict[str, Any]) -> Batch:
    """Create, update and delete up to 100 tasks in one transaction."""
    return Batch(data["items"], create_task, update_task, delete_task)

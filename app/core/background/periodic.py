"""Periodic tasks: run by the backend, and by `flask maintenance run`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import exists, false, or_

from app.core.background.job_types import check_parameters
from app.core.database.types import now
from app.core.files.file_mixin import file_models
from app.core.files.uploads import StoredUpload
from app.core.openapi.operation import DeclarationError
from app.core.resources import unaudited
from app.core.resources.declarations import checked
from app.core.resources.idempotency import IdempotencyKey

HOUR = 3600  # seconds
ORPHAN_AGE = timedelta(days=1)  # after which an upload without a row is deleted

TaskFunction = Callable[[], int]


class PeriodicTask(NamedTuple):
    """A function and its interval in seconds; several processes may run it at the same time."""

    interval: int
    func: TaskFunction


PERIODIC_TASKS: dict[str, PeriodicTask] = {}
# Models without `FileMixin` whose rows keep the upload of their id.
UPLOAD_KEEPERS: list[Any] = []


@checked
def periodic_task(name: str, *, interval: int) -> Callable[[TaskFunction], TaskFunction]:
    """Register a function that runs every `interval` seconds and returns the number of rows."""

    def register(func: TaskFunction) -> TaskFunction:
        if name in PERIODIC_TASKS:
            raise DeclarationError(func, f"there is a periodic task {name!r} already")
        check_parameters(func, (), "a periodic task")
        PERIODIC_TASKS[name] = PeriodicTask(interval, func)
        return func

    return register


@periodic_task("uploads", interval=HOUR)
def purge_uploads() -> int:
    """Delete files without a row: the request failed, or a parent was deleted."""
    old = StoredUpload.created_at <= now() - ORPHAN_AGE
    models: list[Any] = [*UPLOAD_KEEPERS, *file_models()]
    kept = (exists().where(model.id == StoredUpload.id) for model in models)
    return unaudited.delete_in_batches(StoredUpload, old & ~or_(false(), *kept))


@periodic_task("idempotency-keys", interval=HOUR)
def purge_idempotency_keys() -> int:
    """Delete stored responses that have expired."""
    return unaudited.delete_in_batches(IdempotencyKey, IdempotencyKey.expires_at <= now())

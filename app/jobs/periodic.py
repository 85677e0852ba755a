"""What recurs: jobs sent again, and what is over deleted. By itself, and as `flask upkeep`."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import exists

from app.core.database.types import now
from app.core.files.uploads import UploadChunk
from app.core.resources import repository
from app.core.resources.idempotency import IdempotencyKey
from app.jobs import runner
from app.jobs.models import Job

HOUR = 3600  # seconds
ABANDONED = timedelta(days=1)  # after which an upload that no job refers to is given up

TaskFunction = Callable[[], int]


class PeriodicTask(NamedTuple):
    """A function to be called every so many seconds; it may run several times at once."""

    interval: int
    func: TaskFunction


PERIODIC_TASKS: dict[str, PeriodicTask] = {}


def periodic_task(name: str, *, interval: int) -> Callable[[TaskFunction], TaskFunction]:
    """Register what is to be done every so many seconds; it returns how many rows it dealt with."""

    def register(work: TaskFunction) -> TaskFunction:
        PERIODIC_TASKS[name] = PeriodicTask(interval, work)
        return work

    return register


periodic_task("unsent-jobs", interval=15)(runner.requeue_stale_jobs)


@periodic_task("jobs", interval=HOUR)
def purge_jobs() -> int:
    """Delete jobs that have been over for a while, with what they found wrong."""
    kept_since = now() - timedelta(days=current_app.config["JOB_RETENTION_DAYS"])
    return repository.delete_in_batches(Job, Job.finished_at <= kept_since)


@periodic_task("uploads", interval=HOUR)
def purge_uploads() -> int:
    """Delete the files that no job reads: their request failed, or their job was cancelled."""
    old = UploadChunk.created_at <= now() - ABANDONED
    return repository.delete_in_batches(
        UploadChunk, old & ~exists().where(Job.id == UploadChunk.upload_id)
    )


@periodic_task("idempotency-keys", interval=HOUR)
def purge_idempotency_keys() -> int:
    """Delete kept answers whose time is over."""
    return repository.delete_in_batches(IdempotencyKey, IdempotencyKey.expires_at <= now())

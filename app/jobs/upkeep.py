"""What recurs: jobs sent again, and what is over deleted. By itself, and as `flask upkeep`."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from flask import current_app
from sqlalchemy import exists

from app.jobs import service
from app.jobs.models import Job
from app.kit import rows
from app.kit.idempotency import IdempotencyKey
from app.kit.model import now
from app.kit.uploads import UploadChunk

HOUR = 3600  # seconds
ABANDONED = timedelta(days=1)  # after which an upload that no job refers to is given up

Work = Callable[[], int]


class Recurring(NamedTuple):
    """A function to be called every so many seconds; it may run several times at once."""

    every: int
    work: Work


RECURRING: dict[str, Recurring] = {}


def recurring(name: str, *, every: int) -> Callable[[Work], Work]:
    """Register what is to be done every so many seconds; it returns how many rows it dealt with."""

    def register(work: Work) -> Work:
        RECURRING[name] = Recurring(every, work)
        return work

    return register


recurring("unsent-jobs", every=15)(service.sweep)


@recurring("jobs", every=HOUR)
def purge_jobs() -> int:
    """Delete jobs that have been over for a while, with what they found wrong."""
    kept_since = now() - timedelta(days=current_app.config["JOB_RETENTION_DAYS"])
    return rows.purge(Job, Job.finished_at <= kept_since)


@recurring("uploads", every=HOUR)
def purge_uploads() -> int:
    """Delete the files that no job reads: their request failed, or their job was cancelled."""
    old = UploadChunk.created_at <= now() - ABANDONED
    return rows.purge(UploadChunk, old & ~exists().where(Job.id == UploadChunk.upload_id))


@recurring("idempotency-keys", every=HOUR)
def purge_idempotency_keys() -> int:
    """Delete kept answers whose time is over."""
    return rows.purge(IdempotencyKey, IdempotencyKey.expires_at <= now())

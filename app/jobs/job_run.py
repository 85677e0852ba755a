"""One attempt to run a job: its claim, checkpoints, lease and the rights of its owner."""

import time
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from flask import current_app
from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, or_, select, true

from app.core.background.backend import job_backend
from app.core.background.job_types import Arguments as Arguments
from app.core.background.job_types import JobError as JobError  # clones import it from here
from app.core.database.types import now
from app.core.files.uploads import StoredUpload
from app.core.resources import unaudited
from app.extensions import db
from app.jobs.models import Job
from app.users.models import User
from app.users.roles import ROLES

LEASE = timedelta(seconds=60)  # within which a job must commit, else its worker is considered dead
LEASE_RENEWAL = 10.0  # seconds after which `JobRun.heartbeat` renews the lease

log = structlog.get_logger()


class LeaseLost(Exception):
    """The job was cancelled, or another worker has claimed it."""


class ShutdownRequested(Exception):
    """This process is shutting down; another one resumes the job."""


def claim(job_id: UUID) -> Row[Any] | None:
    """Claim a job for this worker, with a lease; None if it has ended or another worker runs it."""
    moment = now()
    free = or_(Job.state == "queued", Job.retry_at <= moment)
    claimed = unaudited.update_where(
        Job,
        and_(Job.id == job_id, Job.finished_at.is_(None), free),
        {"state": "running", "lease_token": uuid4(), "retry_at": moment + LEASE}
        | {"attempts": Job.attempts + 1},
    )
    db.session.commit()
    return claimed[0] if claimed else None


class JobRun:
    """One attempt to run a job, by the worker that holds the lease."""

    def __init__(self, row: Row[Any], permission: str | None = None) -> None:
        self.id: UUID = row.id
        self.owner_id: UUID | None = row.owner_id
        self.arguments: Arguments = row.arguments
        self.position: Arguments = row.checkpoint  # where to resume
        self.processed_count: int = row.processed_count
        self.failed_count: int = row.failed_count
        self.total: int | None = row.total
        self.attempts: int = row.attempts
        self._type: str = row.type
        self._progress = (row.processed_count, deepcopy(row.checkpoint))
        self._lease_token: UUID = row.lease_token
        self._permission = permission
        self._renew_at = time.monotonic() + LEASE_RENEWAL

    def check_owner(self) -> None:
        """Check that the owner of the job, if it has one, is active and has the permission.

        Raises:
            JobError: the owner was disabled, or has another role now.
        """
        if self.owner_id is None:
            return
        is_authorized = db.session.scalar(select(self._owner_is_authorized()))
        # No transaction stays open: it would hold a connection of a pooler while the job reads.
        db.session.rollback()
        if not is_authorized:
            raise JobError("The owner of the job may no longer do this.")

    def checkpoint(self, **values: Any) -> None:
        """Commit the transaction together with the progress of the job, and renew the lease.

        The number of attempts is reset if `processed_count` or `checkpoint` has changed.

        Args:
            values: new values of the job: processed_count, failed_count, total, checkpoint.

        Raises:
            LeaseLost: the job was cancelled or claimed by another worker; nothing was committed.
            JobError: the owner may no longer do this; nothing was committed.
            ShutdownRequested: this process is shutting down; the transaction was committed.
        """
        count, checkpoint = self._progress
        progress = values.get("processed_count", count), values.get("checkpoint", checkpoint)
        # Otherwise a job that repeats its first step would never use up its attempts:
        # docs/decisions.md#42-job-retries
        if progress != self._progress:
            self._progress = deepcopy(progress)
            self.attempts = 1
        self._update_authorized(retry_at=now() + LEASE, attempts=self.attempts, **values)
        db.session.commit()
        self._renew_at = time.monotonic() + LEASE_RENEWAL
        if job_backend(current_app).stopping.is_set():
            raise ShutdownRequested

    def heartbeat(self) -> None:
        """Renew the lease if it is time, and notice a shutdown: for work that commits nothing.

        It is called at least every few seconds, outside of a transaction. It raises what
        `checkpoint` raises.
        """
        is_stopping = job_backend(current_app).stopping.is_set()
        if is_stopping or time.monotonic() >= self._renew_at:
            self.checkpoint()

    def count_earlier(self, since: datetime) -> int:
        """Return how many jobs of this type and owner were created before, and have not failed."""
        earlier = select(func.count()).where(
            Job.owner_id == self.owner_id,
            Job.created_at > since,
            Job.type == self._type,
            Job.state != "failed",
            Job.id < self.id,
        )
        return db.session.scalar(earlier) or 0

    def release(self, retry_at: datetime, attempts: int) -> None:
        """Release the lease; the job is queued and can be claimed from `retry_at` on."""
        self._update(state="queued", lease_token=None, retry_at=retry_at, attempts=attempts)
        db.session.commit()

    def finish(self, state: str, *, result: Any = None, error: str | None = None) -> None:
        """Store the outcome; delete the arguments and the upload, which may be personal data."""
        values = {"state": state, "result": result, "error": error, "finished_at": now()}
        db.session.execute(delete(StoredUpload).where(StoredUpload.id == self.id))
        update = self._update_authorized if state == "succeeded" else self._update
        update(arguments={}, lease_token=None, **values)
        db.session.commit()
        log.info("job_finished", state=state)

    def _update_authorized(self, **values: Any) -> None:
        """Update the job, in the transaction of work that its owner may still do."""
        try:
            self._update(self._owner_is_authorized(), **values)
        except LeaseLost:
            self.check_owner()
            raise

    def _update(self, *conditions: ColumnElement[bool], **values: Any) -> None:
        leased = and_(Job.id == self.id, Job.lease_token == self._lease_token, *conditions)
        if not unaudited.update_where(Job, leased, values):
            db.session.rollback()
            raise LeaseLost

    def _owner_is_authorized(self) -> ColumnElement[bool]:
        # As long work outlives the request that was authorised:
        # docs/decisions.md#40-jobs-as-rows
        if self.owner_id is None:
            return true()
        roles = [r for r, has in ROLES.items() if not self._permission or self._permission in has]
        return exists().where(User.id == self.owner_id, User.is_active, User.role.in_(roles))

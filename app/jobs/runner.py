"""Creation, dispatch, execution and retries of jobs.

The row in the database is the source of truth (docs/decisions.md#40-jobs-as-rows). A message to a
worker contains only the id: `requeue_stale_jobs` dispatches a job again if its message was lost,
and a duplicate message finds the job claimed. The worker of a job holds a lease, which each
transaction of the job renews. A worker that has lost the lease cannot commit.
"""

from collections.abc import Callable
from contextvars import copy_context
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from flask import current_app
from sqlalchemy import Row, and_, bindparam, delete, func, or_, select

from app.core.database import execute
from app.core.database.ids import uuid7
from app.core.database.types import Timestamp, now
from app.core.files.uploads import UploadChunk, UploadError
from app.core.resources import repository
from app.core.resources.audit_log import AuditContext, current_audit_context, job_audit_context
from app.core.web.after_commit import run_after_commit
from app.extensions import db
from app.jobs.base import job_backend
from app.jobs.models import STATES, Job
from app.telemetry import tracing
from app.telemetry.metrics import scrape_time_gauge

LEASE = timedelta(seconds=60)  # within which a job must commit, else its worker is considered dead
DISPATCH_TIMEOUT = timedelta(seconds=60)  # after which a queued job is dispatched again
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts
ATTEMPTS = 5  # without progress; more are configured per job type

Arguments = dict[str, Any]
Handler = Callable[["JobRun"], Arguments | None]

log = structlog.get_logger()


class JobError(Exception):
    """A permanent failure; the message is a sentence for the owner of the job."""


class LeaseLost(Exception):
    """The job was cancelled, or another worker has claimed it."""


class ShutdownRequested(Exception):
    """This process is shutting down; another one resumes the job."""


@dataclass(frozen=True, slots=True)
class JobType:
    """The handler of a job type, and its maximum number of attempts without progress."""

    handler: Handler
    attempts: int


_job_types: dict[str, JobType] = {}


def job(name: str, *, attempts: int = ATTEMPTS) -> Callable[[Handler], Handler]:
    """Register the function that runs jobs of this type.

    It receives a `JobRun` and returns the job's result. It is called again after a failure: only
    what it commits with `JobRun.checkpoint` happens once, all other effects must be idempotent.
    """

    def register(handler: Handler) -> Handler:
        _job_types[name] = JobType(handler, attempts)
        return handler

    return register


def create_job(
    type: str, arguments: Arguments, *, owner_id: UUID | None = None, job_id: UUID | None = None
) -> Job:
    """Return a new job for the transaction of the request; it is dispatched after the commit."""
    context = {
        name: value and str(value) for name, value in asdict(current_audit_context()).items()
    }
    row = Job(
        id=job_id or uuid7(),
        type=type,
        owner_id=owner_id,
        arguments=arguments,
        request_context=context | {"traceparent": tracing.traceparent()},
        retry_at=now() + DISPATCH_TIMEOUT,
    )
    run_after_commit(dispatch, row.id)
    return row


def dispatch(job_id: UUID) -> None:
    """Send a job to a worker. A failure is logged, and `requeue_stale_jobs` tries again."""
    try:
        job_backend(current_app).send(job_id)
    except Exception as error:
        log.warning("job_dispatch_failed", job_id=str(job_id), error=type(error).__name__)


def requeue_stale_jobs() -> int:
    """Dispatch jobs again after the loss of their message or worker; return their number."""
    moment = now()
    stale = repository.update_unrecorded(
        Job,
        and_(Job.finished_at.is_(None), Job.retry_at <= moment),
        {"state": "queued", "lease_token": None, "retry_at": moment + DISPATCH_TIMEOUT},
    )
    db.session.commit()
    for row in stale:
        dispatch(row.id)
    return len(stale)


class JobRun:
    """One attempt to run a job, by the worker that holds the lease."""

    def __init__(self, row: Row[Any], lease_token: UUID) -> None:
        self.id: UUID = row.id
        self.owner_id: UUID | None = row.owner_id
        self.arguments: Arguments = row.arguments
        self.position: Arguments = row.checkpoint  # where to resume
        self.processed_count: int = row.processed_count
        self.failed_count: int = row.failed_count
        self.total: int | None = row.total
        self.attempts: int = row.attempts
        self._progress = (row.processed_count, deepcopy(row.checkpoint))
        self._lease_token = lease_token

    def checkpoint(self, **values: Any) -> None:
        """Commit the transaction together with the progress of the job, and renew the lease.

        The number of attempts is reset if `processed_count` or `checkpoint` has changed.

        Args:
            values: new values of the job: processed_count, failed_count, total, checkpoint.

        Raises:
            LeaseLost: the job was cancelled or claimed by another worker; nothing was committed.
            ShutdownRequested: this process is shutting down; the transaction was committed.
        """
        count, checkpoint = self._progress
        progress = values.get("processed_count", count), values.get("checkpoint", checkpoint)
        # Otherwise a job that repeats its first step would never use up its attempts:
        # docs/decisions.md#42-job-retries
        if progress != self._progress:
            self._progress = deepcopy(progress)
            self.attempts = 1
        self._update(retry_at=now() + LEASE, attempts=self.attempts, **values)
        db.session.commit()
        if job_backend(current_app).stopping.is_set():
            raise ShutdownRequested

    def release(self, retry_at: datetime) -> None:
        """Release the lease; the job is queued and can be claimed from `retry_at` on."""
        self._update(state="queued", lease_token=None, retry_at=retry_at)
        db.session.commit()

    def finish(self, state: str, *, result: Any = None, error: str | None = None) -> None:
        """Store the outcome; delete the arguments and the upload, which may be personal data."""
        values = {"state": state, "result": result, "error": error, "finished_at": now()}
        db.session.execute(delete(UploadChunk).where(UploadChunk.upload_id == self.id))
        self._update(arguments={}, lease_token=None, **values)
        db.session.commit()
        log.info("job_finished", state=state)

    def _update(self, **values: Any) -> None:
        leased = and_(Job.id == self.id, Job.lease_token == self._lease_token)
        if not repository.update_unrecorded(Job, leased, values):
            db.session.rollback()
            raise LeaseLost


_SELECT_COUNTS = (
    select(Job.state, func.count().label("number"))
    .where(or_(Job.finished_at.is_(None), Job.finished_at > bindparam("since", type_=Timestamp)))
    .group_by(Job.state)
)


def count_by_state() -> dict[str, int]:
    """Return the number of jobs that are queued, running or ended within the hour, by state."""
    rows = execute.fetch_autocommit(_SELECT_COUNTS, {"since": now() - timedelta(hours=1)})
    return dict.fromkeys(STATES, 0) | {row.state: row.number for row in rows}


scrape_time_gauge(
    "jobs", "Jobs that are queued, running, or ended within the hour.", "state", count_by_state
)


def run_job(job_id: UUID) -> None:
    """Run a job, unless it has ended or another worker runs it. Requires an application context.

    Raises an exception only if the database is unavailable: the lease then expires, and
    `requeue_stale_jobs` dispatches the job again.
    """
    # In a copy of the context, so that the values for log and audit do not outlive the job.
    copy_context().run(_claim_and_run, job_id)


def _claim_and_run(job_id: UUID) -> None:
    lease_token = uuid4()
    moment = now()
    free = or_(Job.state == "queued", Job.retry_at <= moment)
    claimed = repository.update_unrecorded(
        Job,
        and_(Job.id == job_id, Job.finished_at.is_(None), free),
        {"state": "running", "lease_token": lease_token, "retry_at": moment + LEASE}
        | {"attempts": Job.attempts + 1},
    )
    db.session.commit()
    if not claimed:
        return
    [row] = claimed
    context = dict(row.request_context)
    actor, traceparent = context["actor_id"], context.pop("traceparent", "")
    job_audit_context.set(AuditContext(**{**context, "actor_id": actor and UUID(actor)}))
    structlog.contextvars.bind_contextvars(
        job_id=str(row.id), type=row.type, request_id=context["request_id"]
    )
    try:
        with tracing.continue_trace(f"job {row.type}", traceparent):
            _run_attempt(JobRun(row, lease_token), _job_types.get(row.type, _UNKNOWN_TYPE))
    except LeaseLost:
        log.info("job_lease_lost")


def _reject_unknown_type(run: JobRun) -> None:
    raise LookupError("No handler is registered for this job type.")


# Retried: during a deployment, a worker of the newer release may have the handler.
_UNKNOWN_TYPE = JobType(_reject_unknown_type, ATTEMPTS)


def _run_attempt(run: JobRun, job_type: JobType) -> None:
    try:
        if run.attempts > job_type.attempts:  # each time, the worker died
            raise JobError(f"Aborted after {job_type.attempts} attempts.")
        run.finish("succeeded", result=job_type.handler(run))
    except LeaseLost:
        raise
    except ShutdownRequested:
        run.release(now())
    except (JobError, UploadError) as error:
        db.session.rollback()
        run.finish("failed", error=str(error))
    except Exception:
        db.session.rollback()
        log.exception("job_attempt_failed", attempt=run.attempts)
        _retry_later(run, job_type)


def _retry_later(run: JobRun, job_type: JobType) -> None:
    if run.attempts >= job_type.attempts:
        run.finish("failed", error=f"Aborted after {job_type.attempts} attempts.")
        return
    wait = min(MAX_BACKOFF, timedelta(seconds=15 * 2 ** (run.attempts - 1)))
    run.release(now() + wait)

"""The life of a job: created, dispatched, run, and run again after its worker died.

The row in the database decides (docs/decisions.md#40-jobs-as-rows). A message to a worker only
names the row: `requeue_stale_jobs` sends a lost message again, and a message that comes twice finds
the job claimed. The worker of a job holds a lease and renews it in each transaction of the job. A
worker whose lease has expired, or whose job was cancelled, cannot commit anything.
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
from app.jobs.models import STATES, Job
from app.jobs.state import jobs_state
from app.telemetry import tracing
from app.telemetry.metrics import scrape_time_gauge

LEASE = timedelta(seconds=60)  # within which a job must commit, or its worker counts as dead
DISPATCH_TIMEOUT = timedelta(seconds=60)  # after which a queued job is dispatched again
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts
ATTEMPTS = 5  # without progress

Arguments = dict[str, Any]
Handler = Callable[["JobRun"], Arguments | None]

log = structlog.get_logger()


class JobError(Exception):
    """The job cannot succeed, now or later; the message is a sentence for its owner."""


class LeaseLost(Exception):
    """The job was cancelled, or another worker has the lease."""


class ShutdownRequested(Exception):
    """This process is about to end; another one resumes the job."""


@dataclass(frozen=True, slots=True)
class JobType:
    """The handler of a type of job, and how many attempts without progress it has."""

    handler: Handler
    attempts: int


_job_types: dict[str, JobType] = {}


def job(name: str, *, attempts: int = ATTEMPTS) -> Callable[[Handler], Handler]:
    """Register the function that runs jobs of this type.

    It receives a `JobRun` and returns the job's result. It may be run again after a failure: what
    it commits with `JobRun.checkpoint` happens once, everything else must be idempotent.
    """

    def register(handler: Handler) -> Handler:
        _job_types[name] = JobType(handler, attempts)
        return handler

    return register


def create_job(
    type: str, arguments: Arguments, *, owner_id: UUID | None = None, job_id: UUID | None = None
) -> Job:
    """A new job, to be added to the request's transaction; it is dispatched after the commit."""
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
    """Send the job to a worker. A failure is only logged: `requeue_stale_jobs` sends it again."""
    try:
        jobs_state(current_app).send(job_id)
    except Exception as error:
        log.warning("job_dispatch_failed", job_id=str(job_id), error=type(error).__name__)


def requeue_stale_jobs() -> int:
    """Dispatch again the jobs whose message or worker was lost; returns their number."""
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
    """One attempt at a job, by the worker that holds its lease."""

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
        """Commit the transaction, and with it the progress of the job; renews the lease.

        The number of attempts starts again when `processed_count` or `checkpoint` has changed.

        Args:
            values: new values of the job: processed_count, failed_count, total, checkpoint.

        Raises:
            LeaseLost: the job belongs to another worker; nothing was committed.
            ShutdownRequested: it is committed, and this process is about to end.
        """
        count, checkpoint = self._progress
        progress = values.get("processed_count", count), values.get("checkpoint", checkpoint)
        # A job that repeats its first step for ever makes no progress.
        if progress != self._progress:
            self._progress = deepcopy(progress)
            self.attempts = 1
        self._update(retry_at=now() + LEASE, attempts=self.attempts, **values)
        db.session.commit()
        if jobs_state(current_app).stopping.is_set():
            raise ShutdownRequested

    def release(self, retry_at: datetime) -> None:
        """Give up the lease; the job is queued and becomes due at that time."""
        self._update(state="queued", lease_token=None, retry_at=retry_at)
        db.session.commit()

    def finish(self, state: str, *, result: Any = None, error: str | None = None) -> None:
        """Store the outcome; the arguments and the upload, which may be personal, are deleted."""
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


_RECENT = (
    select(Job.state, func.count().label("number"))
    .where(or_(Job.finished_at.is_(None), Job.finished_at > bindparam("since", type_=Timestamp)))
    .group_by(Job.state)
)


def count_by_state() -> dict[str, int]:
    """The number of jobs that are queued or running, or ended within the hour."""
    found = execute.fetch_autocommit(_RECENT, {"since": now() - timedelta(hours=1)})
    return dict.fromkeys(STATES, 0) | {row.state: row.number for row in found}


scrape_time_gauge("jobs", "Jobs that wait, run, or ended within the hour.", "state", count_by_state)


def run_job(job_id: UUID) -> None:
    """Run a job, unless it has ended or another worker runs it. Needs an application context.

    Raises only if the database is unavailable: the lease then expires, and `requeue_stale_jobs`
    dispatches the job again.
    """
    # In a copy of the context, so that what is bound for log and audit ends with the job.
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
            _attempt(JobRun(row, lease_token), _job_types.get(row.type, _UNKNOWN))
    except LeaseLost:
        log.info("job_lease_lost")


def _reject_unknown_type(run: JobRun) -> None:
    raise LookupError("No handler is registered for this type of job.")


# Tried again as well: during a deployment, a worker of the newer release knows the type.
_UNKNOWN = JobType(_reject_unknown_type, ATTEMPTS)


def _attempt(run: JobRun, job_type: JobType) -> None:
    try:
        if run.attempts > job_type.attempts:  # its worker died each time, without a trace
            raise JobError(f"Given up after {job_type.attempts} attempts.")
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
        run.finish("failed", error=f"Given up after {job_type.attempts} attempts.")
        return
    wait = min(MAX_BACKOFF, timedelta(seconds=15 * 2 ** (run.attempts - 1)))
    run.release(now() + wait)

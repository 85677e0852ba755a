"""What becomes of a job: asked for, sent, done, and done again where a worker died over it.

The row in the database decides. Sending a job to a worker only says that it is there: a message
that is lost is sent again by `sweep`, one that comes twice finds the job taken. Whoever does a job
holds a lease, and renews it in each transaction in which the job makes progress; whose lease has
run out, or whose job was cancelled, can commit nothing more.
"""

from collections.abc import Callable
from contextvars import copy_context
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
from app.telemetry import tracing
from app.telemetry.metrics import scrape_time_gauge

LEASE = timedelta(seconds=60)  # within which a job must make progress, or count as abandoned
DISPATCH_TIMEOUT = timedelta(seconds=60)  # with a message, before it is sent again
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts

Arguments = dict[str, Any]
Handler = Callable[["JobRun"], Arguments | None]

log = structlog.get_logger()


class JobError(Exception):
    """The job cannot be done, now or later; the message is a sentence for its owner."""


class LeaseLost(Exception):
    """The job is not this worker's any more: it was cancelled, or somebody else has the lease."""


class ShutdownRequested(Exception):
    """This process is about to end; the job goes on in another one."""


@dataclass(frozen=True, slots=True)
class JobType:
    """What a kind of job does, and how often it is tried without making progress."""

    handler: Handler
    attempts: int


_job_types: dict[str, JobType] = {}


def job(name: str, *, attempts: int = 5) -> Callable[[Handler], Handler]:
    """Register the function that does jobs of this kind. It must bear being begun again.

    It is given a `JobRun`, and returns the job's result. What it commits through
    `JobRun.checkpoint` counts once; what else it does must do no harm when it is done twice.
    """

    def register(handler: Handler) -> Handler:
        _job_types[name] = JobType(handler, attempts)
        return handler

    return register


def create_job(
    kind: str, arguments: Arguments, *, owner_id: UUID | None = None, job_id: UUID | None = None
) -> Job:
    """A new job, to be stored in the transaction of the request, after which it is sent."""
    row = Job(
        id=job_id or uuid7(),
        kind=kind,
        owner_id=owner_id,
        arguments=arguments,
        origin={
            name: value and str(value) for name, value in asdict(current_audit_context()).items()
        }
        | {"traceparent": tracing.traceparent()},
        due_at=now() + DISPATCH_TIMEOUT,
    )
    run_after_commit(dispatch, row.id)
    return row


def dispatch(job_id: UUID) -> None:
    """Tell a worker of the job. That none could be told is no error: `sweep` will try again."""
    try:
        current_app.extensions["send_job"](job_id)
    except Exception as error:
        log.warning("job_dispatch_failed", job_id=str(job_id), error=type(error).__name__)


def requeue_stale_jobs() -> int:
    """Send again what a crash left behind; how many jobs that were."""
    moment = now()
    abandoned = repository.update_unrecorded(
        Job,
        and_(Job.finished_at.is_(None), Job.due_at <= moment),
        {"state": "queued", "lease": None, "due_at": moment + DISPATCH_TIMEOUT},
    )
    db.session.commit()
    for row in abandoned:
        dispatch(row.id)
    return len(abandoned)


class JobRun:
    """One attempt at a job, by the worker that holds its lease."""

    def __init__(self, row: Row[Any], lease: UUID) -> None:
        self.id: UUID = row.id
        self.owner_id: UUID | None = row.owner_id
        self.arguments: Arguments = row.arguments
        self.position: Arguments = row.position
        self.processed: int = row.processed
        self.failed: int = row.failed
        self.total: int | None = row.total
        self.attempts: int = row.attempts
        self._lease = lease

    def checkpoint(self, **values: Any) -> None:
        """Commit the transaction, and with it how far the job is.

        Args:
            values: new values of the job: processed, failed, total, position.

        Raises:
            Ended: the job is not ours any more; nothing was committed.
            Stopped: it is committed, and this process is to end.
        """
        self._update(due_at=now() + LEASE, attempts=1, **values)
        db.session.commit()
        if current_app.extensions["jobs_stopping"].is_set():
            raise ShutdownRequested

    def release(self, due_at: datetime) -> None:
        """Give the job back: it is due again then."""
        self._update(state="queued", lease=None, due_at=due_at)
        db.session.commit()

    def finish(self, state: str, *, result: Any = None, error: str | None = None) -> None:
        """The job is over; what it was given is not needed any more, and may be personal."""
        moment = now()
        db.session.execute(delete(UploadChunk).where(UploadChunk.upload_id == self.id))
        self._update(
            state=state, result=result, error=error, finished_at=moment, arguments={}, lease=None
        )
        db.session.commit()
        log.info("job_finished", state=state)

    def _update(self, **values: Any) -> None:
        mine = and_(Job.id == self.id, Job.lease == self._lease)
        if not repository.update_unrecorded(Job, mine, values):
            db.session.rollback()
            raise LeaseLost


def count_by_state() -> dict[str, int]:
    """How many jobs wait, run, or ended within the hour."""
    found = execute.fetch_autocommit(_RECENT, {"since": now() - timedelta(hours=1)})
    return dict.fromkeys(STATES, 0) | {row.state: row.number for row in found}


_RECENT = (
    select(Job.state, func.count().label("number"))
    .where(or_(Job.finished_at.is_(None), Job.finished_at > bindparam("since", type_=Timestamp)))
    .group_by(Job.state)
)


scrape_time_gauge("jobs", "Jobs that wait, run, or ended within the hour.", "state", count_by_state)


def run_job(job_id: UUID) -> None:
    """Do a job, unless somebody else does it already or it is over. Called within an app context.

    Never raises, but for a database that is away: then the lease runs out, and `sweep` finds it.
    """
    copy_context().run(
        _claim_and_run, job_id
    )  # what is bound to the log, and to audit, ends with it


def _claim_and_run(job_id: UUID) -> None:
    lease = uuid4()
    moment = now()
    free = or_(Job.state == "queued", Job.due_at <= moment)
    values = {"state": "running", "lease": lease, "due_at": moment + LEASE}
    claimed = repository.update_unrecorded(
        Job,
        and_(Job.id == job_id, Job.finished_at.is_(None), free),
        values | {"attempts": Job.attempts + 1},
    )
    db.session.commit()
    if not claimed:
        return
    [row] = claimed
    asked = dict(row.origin)
    actor, traceparent = asked["actor_id"], asked.pop("traceparent", "")
    job_audit_context.set(AuditContext(**{**asked, "actor_id": actor and UUID(actor)}))
    structlog.contextvars.bind_contextvars(
        job_id=str(row.id), kind=row.kind, request_id=row.origin["request_id"]
    )
    try:
        with tracing.continue_trace(f"job {row.kind}", traceparent):
            _attempt(JobRun(row, lease), _job_types[row.kind])
    except LeaseLost:
        log.info("job_lease_lost")


def _attempt(run: JobRun, kind: JobType) -> None:
    try:
        if run.attempts > kind.attempts:  # a worker died over it each time, and told nothing
            raise JobError(f"Given up after {kind.attempts} attempts.")
        run.finish("succeeded", result=kind.handler(run))
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
        _retry_later(run, kind)


def _retry_later(run: JobRun, kind: JobType) -> None:
    if run.attempts >= kind.attempts:
        run.finish("failed", error=f"Given up after {kind.attempts} attempts.")
        return
    wait = min(MAX_BACKOFF, timedelta(seconds=15 * 2 ** (run.attempts - 1)))
    run.release(now() + wait)

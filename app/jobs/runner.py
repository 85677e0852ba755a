"""Creation, dispatch, execution and retries of jobs.

The row in the database is the source of truth (docs/decisions.md#40-jobs-as-rows). A message to a
worker contains only the id: `requeue_stale_jobs` dispatches a job again if its message was lost,
and a duplicate message finds the job claimed. The worker of a job holds a lease, which each
transaction of the job renews. A worker that has lost the lease cannot commit.
"""

from contextvars import copy_context
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

import structlog
from flask import current_app
from sqlalchemy import and_, bindparam, func, or_, select

from app.core.background.job_types import ATTEMPTS, JOB_TYPES, JobType, require_type
from app.core.background.job_types import job as job  # clones import it from here
from app.core.database import execute
from app.core.database.ids import uuid7
from app.core.database.types import Timestamp, now
from app.core.files.uploads import UploadError
from app.core.resources import unaudited
from app.core.resources.audit_log import AuditContext, current_audit_context, job_audit_context
from app.core.web.after_commit import run_after_commit
from app.extensions import db
from app.jobs.job_run import Arguments, JobError, JobRun, LeaseLost, ShutdownRequested, claim
from app.jobs.models import STATES, Job
from app.telemetry import tracing
from app.telemetry.metrics import scrape_time_gauge

DISPATCH_TIMEOUT = timedelta(seconds=60)  # after which a queued job is dispatched again
FIRST_BACKOFF = timedelta(seconds=15)
MAX_BACKOFF = timedelta(minutes=15)  # between two attempts

log = structlog.get_logger()


def create_job(
    type: str, arguments: Arguments, *, owner_id: UUID | None = None, job_id: UUID | None = None
) -> Job:
    """Return a new job for the transaction of the request; it is dispatched after the commit.

    Raises:
        LookupError: there is no such type.
    """
    require_type(type)
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
        current_app.extensions["jobs"].send(job_id)
    except Exception as error:
        log.warning("job_dispatch_failed", job_id=str(job_id), error=type(error).__name__)


def requeue_stale_jobs() -> int:
    """Dispatch jobs again after the loss of their message or worker; return their number."""
    moment = now()
    stale = unaudited.update_where(
        Job,
        and_(Job.finished_at.is_(None), Job.retry_at <= moment),
        {"state": "queued", "lease_token": None, "retry_at": moment + DISPATCH_TIMEOUT},
    )
    db.session.commit()
    for row in stale:
        dispatch(row.id)
    return len(stale)


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
    row = claim(job_id)
    if row is None:
        return
    context = dict(row.request_context)
    actor, traceparent = context["actor_id"], context.pop("traceparent", "")
    job_audit_context.set(AuditContext(**{**context, "actor_id": actor and UUID(actor)}))
    structlog.contextvars.bind_contextvars(
        job_id=str(row.id), type=row.type, request_id=context["request_id"]
    )
    try:
        with tracing.continue_trace(f"job {row.type}", traceparent):
            job_type = JOB_TYPES.get(row.type, _UNKNOWN_TYPE)
            _run_attempt(JobRun(row, job_type.permission), job_type)
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
        run.check_owner()
        run.finish("succeeded", result=job_type.handler(run))
    except LeaseLost:
        raise
    except ShutdownRequested:
        run.release(now(), attempts=run.attempts - 1)  # an attempt that has not failed
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
    wait = min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** (run.attempts - 1))
    run.release(now() + wait, run.attempts)

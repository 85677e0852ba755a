"""Jobs in the memory of this process: each runs once, in a thread, after the commit."""

from collections import deque
from contextvars import copy_context
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from flask import Flask, has_request_context
from sqlalchemy import event

from app.core.background.backend import ThreadBackend
from app.core.background.job_types import JOB_TYPES, Arguments, JobError, require_type
from app.core.database.types import now
from app.core.resources.audit_log import AuditContext, current_audit_context, job_audit_context
from app.core.web.after_commit import run_after_commit
from app.extensions import db

REMEMBERED = timedelta(hours=1)  # how long `InMemoryRun.count_earlier` knows a job

log = structlog.get_logger()


class SubmittedJob(NamedTuple):
    """A job that has not run."""

    id: UUID
    type: str
    arguments: Arguments
    owner_id: UUID | None
    audit_context: AuditContext
    log_context: dict[str, Any]  # such as the ids of request and trace


class RunOfOwner(NamedTuple):
    """When a job of an owner was run; without its arguments, which may be personal data."""

    job_id: UUID
    type: str
    owner_id: UUID
    begun_at: datetime


class InMemoryRun:
    """A run of a job: what `JobRun` describes."""

    def __init__(self, job: SubmittedJob, earlier: list[RunOfOwner]) -> None:
        self.id = job.id
        self.owner_id = job.owner_id
        self.arguments = job.arguments
        self._earlier = earlier

    def checkpoint(self) -> None:
        """Commit the transaction."""
        db.session.commit()

    def count_earlier(self, since: datetime) -> int:
        """Return how many jobs of this type and owner this process has run within the hour."""
        return sum(run.begun_at > since for run in self._earlier)


class InMemoryBackend(ThreadBackend):
    """Threads of this process, and no rows: what fails is logged and not repeated."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self._runs: deque[RunOfOwner] = deque()
        self._lock = Lock()

    def submit(self, job_id: UUID, type: str, arguments: Arguments, owner_id: UUID | None) -> None:
        """Run a job after the request, or, in a command or another job, after the commit."""
        require_type(type)
        contexts = current_audit_context(), structlog.contextvars.get_contextvars()
        job = SubmittedJob(job_id, type, arguments, owner_id, *contexts)
        if has_request_context():
            run_after_commit(self.send, job)
        else:
            event.listen(db.session(), "after_commit", lambda _: self.send(job), once=True)

    def send(self, job: SubmittedJob) -> None:
        """Queue a job for the next free thread."""
        self.run_in_thread(lambda: copy_context().run(self._run_job, job), job.id)

    def _run_job(self, job: SubmittedJob) -> None:
        job_audit_context.set(job.audit_context)
        own = {"job_id": str(job.id), "type": job.type}
        structlog.contextvars.bind_contextvars(**(job.log_context | own))
        run = InMemoryRun(job, self._begin(job))
        try:
            JOB_TYPES[job.type].handler(run)
            db.session.commit()
        except JobError as error:
            self._forget(job)
            log.warning("job_finished", state="failed", error=str(error))
        except Exception:
            self._forget(job)
            log.exception("job_failed")
        else:
            log.info("job_finished", state="succeeded")

    def _begin(self, job: SubmittedJob) -> list[RunOfOwner]:
        """Remember a job, and return the earlier ones of its type and owner."""
        if job.owner_id is None:
            return []
        moment = now()
        with self._lock:
            while self._runs and self._runs[0].begun_at <= moment - REMEMBERED:
                self._runs.popleft()
            same = (job.type, job.owner_id)
            earlier = [run for run in self._runs if (run.type, run.owner_id) == same]
            self._runs.append(RunOfOwner(job.id, *same, moment))
        return earlier

    def _forget(self, job: SubmittedJob) -> None:
        with self._lock:
            self._runs = deque(run for run in self._runs if run.job_id != job.id)

"""Jobs as the tests define, run and read them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Flask
from werkzeug.test import TestResponse

from app.core.database.types import now
from app.extensions import db
from app.jobs.job_run import JobRun
from app.jobs.models import Job
from app.jobs.runner import requeue_stale_jobs, run_job
from tests import rows
from tests.api import Api, Caller
from tests.errands.models import Errand

Handler = Callable[[JobRun], Any]


def execute(app: Flask, job_id: UUID) -> None:
    with app.app_context():
        run_job(job_id)


def requeue_stale(app: Flask) -> int:
    with app.app_context():
        return requeue_stale_jobs()


def state(app: Flask, job_id: UUID) -> str:
    return rows.read(app, Job.state, id=job_id)[0]


def outcome(api: Api, user: Caller, job_id: UUID) -> tuple[str, str | None]:
    """The state and the error of a job, as its owner reads them."""
    job = api.get(f"jobs/{job_id}", by=user, status=200).json
    return job["state"], job["error"]


def start_import(api: Api, editor: Caller, **headers: str) -> TestResponse:
    file = b"sku,name,category,price,currency\nA,B,C,1,EUR\n"
    fields = {"Content-Type": "text/csv", **headers}
    return api.call("POST", "articles/imports", data=file, headers=fields, by=editor, status=202)


def add_errand(run: JobRun, title: str = "done") -> None:
    """An effect that can be counted."""
    db.session.add(Errand(owner_id=run.owner_id, title=title))
    db.session.flush()


def expire_lease(app: Flask, job_id: UUID) -> None:
    """Let the lease of a running job, or the time for its message, expire."""
    rows.change(app, Job, job_id, retry_at=now())

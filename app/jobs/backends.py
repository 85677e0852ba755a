"""Backends that run jobs: Celery's workers, or threads of this process where there is no broker.

Both call the same functions: `run_job` and those in `PERIODIC_TASKS`.
docs/decisions.md#41-jobs-without-a-broker
"""

from functools import partial
from uuid import UUID

from flask import Flask

from app.core.background.backend import ThreadBackend
from app.jobs.base import QueueBackend
from app.jobs.runner import run_job


def init_app(app: Flask) -> None:
    """Choose the backend: Celery where BROKER_URL is set."""
    broker_url = app.config["BROKER_URL"]
    backend: QueueBackend
    if broker_url:
        # Imported here: the import is slow, and unnecessary without a broker.
        from app.jobs.celery_app import CeleryBackend, make_celery

        app.extensions["celery"] = celery = make_celery(app, broker_url)
        backend = CeleryBackend(celery)
    else:
        backend = QueueThreads(app)
    app.extensions["jobs"] = backend


class QueueThreads(QueueBackend, ThreadBackend):
    """Threads of this process that run its jobs; `requeue_stale_jobs` dispatches others again."""

    stores_jobs = True

    def send(self, job_id: UUID) -> None:
        """Queue a job for the next free thread."""
        self.run_in_thread(partial(run_job, job_id), job_id)

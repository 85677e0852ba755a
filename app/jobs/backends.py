"""Backends that run jobs: Celery's workers, or threads of this process where there is no broker.

Both call the same functions: `run_job` and those in `PERIODIC_TASKS`.
docs/decisions.md#41-jobs-without-a-broker
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from uuid import UUID

import structlog
from flask import Flask

from app.jobs.base import Backend
from app.jobs.periodic import PERIODIC_TASKS
from app.jobs.runner import run_job

THREADS = 2  # so that a long job does not delay all others

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Choose the backend: Celery where BROKER_URL is set."""
    broker_url = app.config["BROKER_URL"]
    backend: Backend
    if broker_url:
        # Imported here: the import is slow, and unnecessary without a broker.
        from app.jobs.celery_app import CeleryBackend, make_celery

        app.extensions["celery"] = celery = make_celery(app, broker_url)
        backend = CeleryBackend(celery)
    else:
        backend = ThreadBackend(app)
    app.extensions["jobs"] = backend


class ThreadBackend(Backend):
    """Threads of this process that run its jobs."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._app = app
        self._pool = ThreadPoolExecutor(THREADS, "jobs")
        self._sent: set[Future[None]] = set()

    def send(self, job_id: UUID) -> None:
        """Queue a job for the next free thread."""
        sent = self._pool.submit(self._run, job_id)
        self._sent.add(sent)
        sent.add_done_callback(self._sent.discard)

    def start(self) -> None:
        """Run periodic tasks in a thread until the process ends."""
        threading.Thread(target=self._run_periodic_tasks, name="periodic", daemon=True).start()

    def drain(self) -> None:
        """Wait for all jobs that were sent so far."""
        while sent := list(self._sent):
            wait(sent)

    def stop(self) -> None:
        """Wait until running jobs have stopped; `requeue_stale_jobs` dispatches them again."""
        super().stop()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, job_id: UUID) -> None:
        try:
            with self._app.app_context():
                run_job(job_id)
        except Exception:  # the database is unavailable; the job's lease will expire
            log.exception("job_crashed", job_id=str(job_id))

    def _run_periodic_tasks(self) -> None:
        due = dict.fromkeys(PERIODIC_TASKS, time.monotonic())  # all run at the start
        while not self.stopping.wait(max(0, min(due.values()) - time.monotonic())):
            name = min(due, key=lambda each: due[each])
            due[name] = time.monotonic() + PERIODIC_TASKS[name].interval
            try:
                with self._app.app_context():
                    PERIODIC_TASKS[name].func()
            except Exception:
                log.exception("periodic_task_failed", task=name)

"""Who does the jobs: Celery's workers, told through Redis; without a broker, this process.

Both call the same two functions, `perform` and what is registered as recurring.
"""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any
from uuid import UUID

import structlog
from flask import Flask

from app.jobs.periodic import PERIODIC_TASKS
from app.jobs.runner import run_job

THREADS = 2  # so that a long job does not hold up all others

log = structlog.get_logger()


def init_app(app: Flask, settings: Any) -> None:
    """Choose who does this application's jobs."""
    app.extensions["jobs_stopping"] = threading.Event()
    if settings.broker_url:
        from app.jobs.celery_app import make_celery  # takes a while, and not everybody needs it

        app.extensions["celery"] = celery = make_celery(app, settings.broker_url)
        app.extensions["send_job"] = lambda job_id: celery.tasks["perform"].delay(str(job_id))
    else:
        app.extensions["jobs"] = worker = ThreadBackend(app)
        app.extensions["send_job"] = worker.send


class ThreadBackend:
    """Threads of this process that do its jobs."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._stopping: threading.Event = app.extensions["jobs_stopping"]
        self._pool = ThreadPoolExecutor(THREADS, "jobs")
        self._sent: set[Future[None]] = set()

    def send(self, job_id: UUID) -> None:
        """Have a job done, soon."""
        sent = self._pool.submit(self._perform, job_id)
        self._sent.add(sent)
        sent.add_done_callback(self._sent.discard)

    def start(self) -> None:
        """Do what recurs as well, from now on until the process ends."""
        threading.Thread(target=self._recur, name="upkeep", daemon=True).start()

    def drain(self) -> None:
        """Wait for all jobs that were sent so far."""
        while sent := list(self._sent):
            wait(sent)

    def stop(self) -> None:
        """Let the jobs stop where they can be gone on with; the sweep of another process does."""
        self._stopping.set()
        self._pool.shutdown(cancel_futures=True)

    def _perform(self, job_id: UUID) -> None:
        try:
            with self._app.app_context():
                run_job(job_id)
        except Exception:  # the database is away; the job's lease will run out
            log.exception("job_crashed", job_id=str(job_id))

    def _recur(self) -> None:
        due = dict.fromkeys(
            PERIODIC_TASKS, time.monotonic()
        )  # all at once, and then each by itself
        while not self._stopping.wait(max(0, min(due.values()) - time.monotonic())):
            name = min(due, key=lambda each: due[each])
            due[name] = time.monotonic() + PERIODIC_TASKS[name].interval
            try:
                with self._app.app_context():
                    PERIODIC_TASKS[name].func()
            except Exception:
                log.exception("periodic_task_failed", task=name)

"""Backends that run jobs and periodic tasks."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from uuid import UUID

import structlog
from flask import Flask, current_app

from app.core.background.job_types import Arguments
from app.core.background.periodic import PERIODIC_TASKS
from app.core.database.ids import uuid7

THREADS = 2  # so that a long job does not delay all others

log = structlog.get_logger()


class Backend:
    """Runs jobs. The application has one, in `app.extensions["jobs"]`."""

    def __init__(self) -> None:
        self.stopping = threading.Event()  # set when this process shuts down

    def submit(self, job_id: UUID, type: str, arguments: Arguments, owner_id: UUID | None) -> None:
        """Run a job once the transaction is committed."""
        raise NotImplementedError

    def start(self) -> None:
        """Start periodic tasks, if they run in this process; called when a web worker starts."""

    def drain(self) -> None:
        """Wait for the jobs of this process."""

    def stop(self) -> None:
        """End the jobs of this process."""
        self.stopping.set()


class ThreadBackend(Backend):
    """Threads of this process that run its jobs, and one for periodic tasks."""

    stores_jobs = False  # so that another process runs those that this one did not

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._app = app
        self._pool = ThreadPoolExecutor(THREADS, "jobs")
        self._sent: set[Future[None]] = set()

    def run_in_thread(self, run: Callable[[], None], job_id: UUID) -> None:
        """Call a function in the next free thread."""
        sent = self._pool.submit(self._run, run, job_id)
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
        """Wait for the jobs, or, where jobs are stored, for those that have begun."""
        super().stop()
        self._pool.shutdown(cancel_futures=self.stores_jobs)

    def _run(self, run: Callable[[], None], job_id: UUID) -> None:
        try:
            with self._app.app_context():
                run()
        except Exception:  # such as a database that is unavailable
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


def job_backend(app: Flask) -> Backend:
    """Return the backend of an application."""
    backend: Backend = app.extensions["jobs"]
    return backend


def submit_job(
    type: str, arguments: Arguments, *, owner_id: UUID | None = None, job_id: UUID | None = None
) -> UUID:
    """Run a job after the commit of the transaction, outside of the request; return its id.

    With the feature `jobs` it is a row of the transaction, so it is not lost. Without it, it is
    lost if it fails or if the process is killed.
    """
    job_id = job_id or uuid7()
    job_backend(current_app).submit(job_id, type, arguments, owner_id)
    return job_id

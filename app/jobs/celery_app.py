"""The Celery application: its workers run jobs, its beat runs periodic tasks.

Started with `celery --app wsgi:celery worker` and `celery --app wsgi:celery beat`.
"""

from typing import Any
from uuid import UUID

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutting_down
from flask import Flask

from app.core.background.backend import job_backend
from app.core.background.periodic import PERIODIC_TASKS
from app.jobs.base import QueueBackend
from app.jobs.runner import requeue_stale_jobs, run_job


def make_celery(app: Flask, broker_url: str) -> Celery:
    """Return a Celery application; its tasks run in the context of this Flask application."""
    celery = Celery("jobs", broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_ignore_result=True,  # it is in the row of the job
        task_acks_late=True,  # a job that is delivered twice is claimed once
        task_reject_on_worker_lost=True,
        task_publish_retry=False,  # `requeue_stale_jobs` dispatches the job again
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        # Seconds that the thread of a request is blocked, after its response, if Redis hangs.
        broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 1},
    )

    @celery.task(name="jobs.run", shared=False)  # type: ignore[untyped-decorator]
    def run(job_id: str) -> None:
        with app.app_context():
            run_job(UUID(job_id))

    @celery.task(name="jobs.periodic", shared=False)  # type: ignore[untyped-decorator]
    def run_periodic(name: str) -> None:
        with app.app_context():
            PERIODIC_TASKS[name].func()

    # Celery finalises when it first needs its tasks: by then all features are registered.
    @celery.on_after_finalize.connect(weak=False)  # type: ignore[untyped-decorator]
    def schedule_periodic_tasks(sender: Celery, **_: Any) -> None:
        for name, task in PERIODIC_TASKS.items():
            signature = run_periodic.s(name)
            sender.add_periodic_task(task.interval, signature, name=name, expires=task.interval)

    _connect_signals(app)
    return celery


def _connect_signals(app: Flask) -> None:
    @setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
    def keep_logging_config(**_: object) -> None:
        """Do nothing: with a receiver, Celery does not configure logging."""

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def requeue(**_: object) -> None:
        """Dispatch the jobs of workers that have died."""
        with app.app_context():
            requeue_stale_jobs()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def stop(**_: object) -> None:
        job_backend(app).stop()


class CeleryBackend(QueueBackend):
    """Celery's workers and beat, which are separate processes."""

    def __init__(self, celery: Celery) -> None:
        super().__init__()
        self._celery = celery

    def send(self, job_id: UUID) -> None:
        """Send a job to the broker."""
        self._celery.tasks["jobs.run"].delay(str(job_id))

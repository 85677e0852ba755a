"""Celery: carries messages to the workers, and has a clock. `celery --app wsgi:celery worker`."""

from typing import Any
from uuid import UUID

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutting_down
from flask import Flask

from app.jobs.periodic import PERIODIC_TASKS
from app.jobs.runner import requeue_stale_jobs, run_job
from app.jobs.state import jobs_state


def make_celery(app: Flask, broker_url: str) -> Celery:
    """A Celery application whose tasks run within this application's context."""
    celery = Celery("jobs", broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_ignore_result=True,  # the job's row has it
        task_acks_late=True,  # a job that comes twice is claimed once
        task_reject_on_worker_lost=True,
        task_publish_retry=False,  # `requeue_stale_jobs` sends again what fails now
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        # A Redis that hangs costs the request's thread this long, after the response.
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

    # When Celery first needs its tasks: by then, all features have registered theirs.
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
        """A receiver keeps Celery from configuring a log of its own."""

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def requeue(**_: object) -> None:
        """Take over the jobs of earlier workers."""
        with app.app_context():
            requeue_stale_jobs()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def stop(**_: object) -> None:
        jobs_state(app).stop()


class CeleryBackend:
    """Celery's workers and its beat, which are processes of their own."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def send(self, job_id: UUID) -> None:
        """Send a job to the broker."""
        self._celery.tasks["jobs.run"].delay(str(job_id))

    def start(self) -> None:
        """Nothing: beat runs periodic tasks."""

    def drain(self) -> None:
        """Nothing: no job runs in this process."""

    def stop(self) -> None:
        """Nothing: no job runs in this process."""

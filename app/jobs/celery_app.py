"""Celery: carries messages to the workers, and has a clock. `celery --app wsgi:celery worker`."""

from uuid import UUID

from celery import Celery
from celery.signals import setup_logging, worker_ready, worker_shutting_down
from flask import Flask

from app.jobs.periodic import PERIODIC_TASKS
from app.jobs.runner import requeue_stale_jobs, run_job


def make_celery(app: Flask, broker_url: str) -> Celery:
    """A Celery application whose tasks work within this application's context."""
    celery = Celery("jobs", broker=broker_url, set_as_current=False)
    celery.conf.update(
        task_ignore_result=True,  # the job's row has it
        task_acks_late=True,  # a job that comes twice finds itself taken
        task_reject_on_worker_lost=True,
        task_publish_retry=False,  # what is not sent now, the sweep sends
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        # A Redis that hangs costs the request's thread this long, after the answer.
        broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 1},
        beat_schedule={
            name: {
                "task": "upkeep",
                "args": [name],
                "schedule": each.interval,
                "options": {"expires": each.interval},
            }
            for name, each in PERIODIC_TASKS.items()
        },
    )

    @celery.task(name="perform")  # type: ignore[untyped-decorator]
    def perform_job(job_id: str) -> None:
        with app.app_context():
            run_job(UUID(job_id))

    @celery.task(name="upkeep")  # type: ignore[untyped-decorator]
    def do_upkeep(name: str) -> None:
        with app.app_context():
            PERIODIC_TASKS[name].func()

    @setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
    def keep_the_log(**_: object) -> None:
        """Be connected, and so keep Celery from setting up a log of its own beside ours."""

    @worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
    def go_on(**_: object) -> None:
        """Take over what the workers before this one left."""
        with app.app_context():
            requeue_stale_jobs()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def stop(**_: object) -> None:
        app.extensions["jobs_stopping"].set()

    return celery

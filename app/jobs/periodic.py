"""Periodic tasks of jobs: messages that were lost, and jobs that have ended."""

from datetime import timedelta

from flask import current_app

# Clones import them from here, as in 1.1.0.
from app.core.background.periodic import HOUR as HOUR
from app.core.background.periodic import PERIODIC_TASKS as PERIODIC_TASKS
from app.core.background.periodic import UPLOAD_KEEPERS
from app.core.background.periodic import periodic_task as periodic_task
from app.core.database.types import now
from app.core.resources import unaudited
from app.jobs import runner
from app.jobs.models import Job

UPLOAD_KEEPERS.append(Job)
periodic_task("unsent-jobs", interval=15)(runner.requeue_stale_jobs)


@periodic_task("jobs", interval=HOUR)
def purge_jobs() -> int:
    """Delete jobs that ended JOB_RETENTION_DAYS ago, and their rejected lines."""
    ended_before = now() - timedelta(days=current_app.config["JOB_RETENTION_DAYS"])
    return unaudited.delete_in_batches(Job, Job.finished_at <= ended_before)

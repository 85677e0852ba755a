"""Periodic tasks, and the rows that they delete."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.core.background.periodic import HOUR, PERIODIC_TASKS
from app.core.database.types import now
from app.jobs.models import Job
from tests import rows
from tests.conftest import MakeApp
from tests.jobs.job_calls import execute


@pytest.fixture
def finished(app: Flask, define_job: Any, new_job: Any) -> list[UUID]:
    define_job(lambda run: None)
    ids = [new_job() for _ in range(3)]
    for job_id in ids[:2]:
        execute(app, job_id)
    rows.change(app, Job, ids[0], finished_at=now() - timedelta(days=8))
    return ids


def test_maintenance_deletes_jobs_that_finished_a_week_ago(
    app: Flask, finished: list[UUID]
) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "jobs"])
    assert result.output == "jobs: 1\n"
    assert sorted(rows.read(app, Job.id)) == sorted(finished[1:])


def test_celery_schedules_periodic_tasks(make_app: MakeApp) -> None:
    celery = make_app(broker_url="redis://127.0.0.1:1/0").extensions["celery"]
    celery.finalize()  # as `celery beat` does
    schedule = celery.conf.beat_schedule
    assert {name: entry["args"] for name, entry in schedule.items()} == {
        name: (name,) for name in PERIODIC_TASKS
    }
    assert {entry["task"] for entry in schedule.values()} == {"jobs.periodic"}
    assert schedule["sessions"]["schedule"] == schedule["sessions"]["options"]["expires"] == HOUR

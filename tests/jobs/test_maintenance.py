"""Periodic tasks, and the rows that they delete."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from app.auth.models import Session
from app.auth.sessions import purge_sessions
from app.core.database.types import now
from app.extensions import db
from app.jobs.models import Job
from app.jobs.periodic import HOUR, PERIODIC_TASKS
from tests import rows
from tests.api import Caller
from tests.conftest import MakeApp, on_postgresql
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


def test_maintenance_deletes_expired_and_idle_sessions_only(
    app: Flask, user: Caller, other: Caller, editor: Caller
) -> None:
    expired, idle, valid = (
        rows.read(app, Session.id, owner_id=who.id)[0] for who in (user, other, editor)
    )
    rows.change(app, Session, expired, expires_at=now())
    rows.change(app, Session, idle, last_used_at=now() - timedelta(days=8))
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "sessions"])
    assert result.output == "sessions: 2\n"
    assert rows.read(app, Session.id) == [valid]


@on_postgresql
def test_maintenance_skips_locked_rows(app: Flask, user: Caller, other: Caller) -> None:
    for who in (user, other):
        [session] = rows.read(app, Session.id, owner_id=who.id)
        rows.change(app, Session, session, expires_at=now())
    with app.app_context(), db.engine.begin() as holder:
        holder.execute(select(Session.id).where(Session.id == session).with_for_update())
        assert purge_sessions() == 1
    with app.app_context():
        assert purge_sessions() == 1


def test_maintenance_command_runs_every_task(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run"])
    assert result.exit_code == 0, result.output
    ran = {line.partition(":")[0] for line in result.output.splitlines()}
    assert ran == PERIODIC_TASKS.keys() >= {"jobs", "sessions", "unsent-jobs"}


def test_maintenance_command_refuses_unknown_task(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "everything"])
    assert result.exit_code == 2
    assert "everything" in result.output


def test_celery_schedules_periodic_tasks(make_app: MakeApp) -> None:
    celery = make_app(broker_url="redis://127.0.0.1:1/0").extensions["celery"]
    celery.finalize()  # as `celery beat` does
    schedule = celery.conf.beat_schedule
    assert {name: entry["args"] for name, entry in schedule.items()} == {
        name: (name,) for name in PERIODIC_TASKS
    }
    assert {entry["task"] for entry in schedule.values()} == {"jobs.periodic"}
    assert schedule["sessions"]["schedule"] == schedule["sessions"]["options"]["expires"] == HOUR

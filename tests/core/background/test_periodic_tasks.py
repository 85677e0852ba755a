"""Periodic tasks: `flask maintenance`, and the thread that runs them."""

from datetime import timedelta
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import select

from app.auth.models import Session
from app.auth.sessions import purge_sessions
from app.core.background.backend import ThreadBackend
from app.core.background.periodic import PERIODIC_TASKS, PeriodicTask
from app.core.database.types import now
from app.extensions import db
from tests import rows
from tests.api import Caller
from tests.conftest import on_postgresql


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
    assert ran == PERIODIC_TASKS.keys() >= {"sessions", "uploads"}


def test_maintenance_command_refuses_unknown_task(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "everything"])
    assert result.exit_code == 2
    assert "everything" in result.output


def test_thread_runs_each_task_at_the_start_and_again_after_its_interval(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, again = Event(), Event()

    def run() -> int:
        (again if once.is_set() else once).set()
        raise RuntimeError  # is logged, and ends nothing

    monkeypatch.setattr("app.core.background.backend.PERIODIC_TASKS", {"a": PeriodicTask(0, run)})
    backend = ThreadBackend(app)
    backend.start()
    try:
        assert once.wait(10)
        assert again.wait(10)
    finally:
        backend.stop()

"""Migrations: up and down on both databases, safe beside each other and beside the service."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from app.extensions import db
from tests.api import Api
from tests.conftest import MakeApp, dispose, on_postgresql, on_sqlite

ROOT = Path(__file__).parent.parent
TABLES = {"users", "sessions", "products", "tasks"}

WAITING = (
    "SELECT FROM pg_locks WHERE NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

Flask_ = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def new_app(make_app: MakeApp, another_database_url: str) -> Flask:
    """The application on an empty database of its own."""
    return make_app(database_url=another_database_url, lock_timeout_ms=50)


@pytest.fixture
def flask(another_database_url: str) -> Iterator[Flask_]:
    """`flask("db", "upgrade")` starts the command in a process of its own, on the new database."""
    environ = os.environ | {
        "APP_ENV": "testing",
        "SECRET_KEY": "not a secret, but long enough for tests",
        "DATABASE_URL": another_database_url,
        "LOCK_TIMEOUT_MS": "50",
    }
    with ExitStack() as running:

        def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(command, cwd=ROOT, env=environ | more, text=True, **pipes)
            running.callback(process.kill)
            return running.enter_context(process)

        yield start


def outcome(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What a command that succeeded has printed."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err


def schema(app: Flask) -> list[str]:
    """The whole schema, as the database itself describes it."""
    if_postgresql = (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
        " SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace UNION ALL"
        " SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default,"
        " collation_name) FROM information_schema.columns WHERE table_schema = 'public'"
    )
    if_sqlite = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
    with app.app_context():
        statement = if_sqlite if db.engine.dialect.name == "sqlite" else if_postgresql
        return sorted(db.session.scalars(text(statement)))


def tables(app: Flask) -> set[str]:
    with app.app_context():
        return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def go_up(app: Flask) -> None:
    with app.app_context():
        upgrade()


def go_down(app: Flask, revision: str = "base") -> None:
    with app.app_context():
        downgrade(revision=revision)


def test_up_down_and_up_again_is_the_same_schema(new_app: Flask) -> None:
    go_up(new_app)
    built = schema(new_app)
    assert tables(new_app) >= TABLES

    go_down(new_app)
    assert tables(new_app) == set()

    go_up(new_app)
    assert schema(new_app) == built


def test_each_migration_can_be_undone_by_itself(new_app: Flask) -> None:
    go_up(new_app)
    schemas = [schema(new_app)]
    while tables(new_app):
        go_down(new_app, "-1")
        schemas.append(schema(new_app))
    for expected in reversed(schemas[:-1]):
        with new_app.app_context():
            upgrade(revision="+1")
        assert schema(new_app) == expected


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(new_app: Flask) -> None:
    go_up(new_app)
    built = schema(new_app)
    go_up(new_app)
    assert schema(new_app) == built


def test_the_models_need_nothing_that_the_migrations_lack(flask: Flask_) -> None:
    outcome(flask("db", "upgrade"))
    out, _ = outcome(flask("db", "check"))
    assert "No new upgrade operations detected" in out


def test_a_downgrade_takes_the_rows_along(new_app: Flask) -> None:
    go_up(new_app)
    api = Api(new_app)
    editor = api.sign_up("editor")
    api.post("tasks", {"title": "Water the plants"}, by=editor, status=201)
    mug = {"sku": "M", "name": "M", "category": "M", "price": "1", "currency": "EUR"}
    api.post("products", mug, by=editor, status=201)

    go_down(new_app)
    go_up(new_app)
    assert api.get("products", status=200).json["items"] == []


@on_sqlite
def test_upgrades_at_the_same_time_all_succeed(flask: Flask_, new_app: Flask) -> None:
    for process in [flask("db", "upgrade") for _ in range(2)]:
        outcome(process)
    assert tables(new_app) >= TABLES


@on_postgresql
def test_upgrades_at_the_same_time_queue_up_and_all_succeed(
    flask: Flask_, new_app: Flask, another_database_url: str
) -> None:
    number = re.search(r"ADVISORY_LOCK = ([0-9_]+)", (ROOT / "migrations/env.py").read_text())[1]
    with psycopg.connect(another_database_url) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [int(number)])
        others = [flask("db", "upgrade") for _ in range(2)]
        while first.execute(WAITING).rowcount < len(others):
            assert all(process.poll() is None for process in others)
        assert tables(new_app) == set()
    for process in others:
        outcome(process)
    assert tables(new_app) >= TABLES


def test_an_upgrade_waits_for_the_locks_of_others(
    flask: Flask_, new_app: Flask, another_database_url: str
) -> None:
    go_up(new_app)
    go_down(new_app)
    dispose(new_app)
    with locked(another_database_url):
        process = flask("db", "upgrade")
        assert any("a lock is held by others" in line for line in process.stdout)
    outcome(process)
    assert tables(new_app) >= TABLES


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another session, in which a transaction holds what a migration needs."""
    if url.startswith("sqlite"):
        file = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, isolation_level=None)) as session:
            session.execute("BEGIN IMMEDIATE")
            yield
        return
    with psycopg.connect(url) as session:
        session.execute("LOCK TABLE alembic_version")
        yield


@on_postgresql
def test_a_migration_that_waits_for_a_long_reader_lets_others_read(
    flask: Flask_, make_app: MakeApp, another_database_url: str
) -> None:
    app = make_app(database_url=another_database_url)
    go_up(app)
    with psycopg.connect(another_database_url) as reader:
        reader.execute("SELECT FROM products")
        process = flask("db", "downgrade", "base")
        while not reader.execute(WAITING).rowcount:
            assert process.poll() is None
        Api(app).get("products", status=200)  # queues behind the migration, which gives way
        assert process.poll() is None
    outcome(process)
    assert tables(app) == set()


@on_postgresql
def test_the_printed_sql_builds_the_same_schema(
    flask: Flask_, new_app: Flask, make_app: MakeApp, another_database_url: str
) -> None:
    nowhere = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"
    sql, _ = outcome(flask("db", "upgrade", "--sql", DATABASE_URL=nowhere))
    with psycopg.connect(another_database_url, autocommit=True) as session:
        session.execute(sql)
    printed = schema(new_app)
    go_down(new_app)
    go_up(new_app)
    assert printed == schema(new_app)


def test_the_service_is_not_ready_before_the_schema_is_the_codes(new_app: Flask) -> None:
    api = Api(new_app)
    api.get("/health/ready", status=503)
    go_up(new_app)
    api.get("/health/ready", status=200)
    go_down(new_app, "-1")
    behind = api.get("/health/ready", status=503)
    assert int(behind.headers["Retry-After"]) > 0
    api.get("/health/live", status=200)


def test_the_service_stays_ready_when_a_newer_release_has_migrated(new_app: Flask) -> None:
    go_up(new_app)
    with new_app.app_context():
        db.session.execute(text("UPDATE alembic_version SET version_num = 'newer'"))
        db.session.commit()
    Api(new_app).get("/health/ready", status=200)

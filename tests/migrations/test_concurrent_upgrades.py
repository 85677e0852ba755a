"""Upgrades that meet others, or locks of the running service."""

import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from flask import Flask

from tests.api import Api
from tests.conftest import MakeApp, dispose, on_postgresql, on_sqlite
from tests.migrations.schemas import (
    MIGRATIONS,
    TABLES,
    WAITING,
    Flask_,
    downgrade_to,
    outcome,
    tables,
    upgrade_to,
)

pytestmark = pytest.mark.slow


@on_sqlite
def test_concurrent_upgrades_of_sqlite_all_succeed(flask: Flask_, new_app: Flask) -> None:
    for process in [flask("db", "upgrade") for _ in range(2)]:
        outcome(process)
    assert tables(new_app) >= TABLES


@on_postgresql
def test_concurrent_upgrades_of_postgresql_queue_and_all_succeed(
    flask: Flask_, new_app: Flask, another_database_url: str
) -> None:
    with psycopg.connect(another_database_url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [advisory_lock()])
        others = [flask("db", "upgrade") for _ in range(2)]
        wait_until_queued(*others)
        assert tables(new_app) == set()
    for process in others:
        outcome(process)
    assert tables(new_app) >= TABLES


@on_postgresql
def test_queued_upgrade_does_not_block_create_index_concurrently(
    flask: Flask_, new_app: Flask, another_database_url: str
) -> None:
    """CREATE INDEX CONCURRENTLY would wait for a snapshot that the queued upgrade held."""
    upgrade_to(new_app)
    with psycopg.connect(another_database_url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(%s)", [advisory_lock()])
        other = flask("db", "upgrade")
        wait_until_queued(other)
        first.execute("SET statement_timeout = '10s'")
        first.execute("CREATE INDEX CONCURRENTLY test ON articles (category)")
        assert other.poll() is None
    outcome(other)


def advisory_lock() -> int:
    return int(re.search(r"ADVISORY_LOCK = ([0-9_]+)", (MIGRATIONS / "env.py").read_text())[1])


def wait_until_queued(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert any("another process migrates" in line for line in process.stdout)


def test_upgrade_waits_for_locks_of_other_sessions(
    flask: Flask_, new_app: Flask, another_database_url: str
) -> None:
    upgrade_to(new_app)
    downgrade_to(new_app)
    dispose(new_app)
    with locked(another_database_url):
        process = flask("db", "upgrade")
        assert any("a lock is held by others" in line for line in process.stdout)
    outcome(process)
    assert tables(new_app) >= TABLES


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Hold a lock that a migration needs, in another session."""
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
def test_migration_that_waits_for_a_long_reader_does_not_block_other_readers(
    flask: Flask_, make_app: MakeApp, another_database_url: str
) -> None:
    app = make_app(database_url=another_database_url)
    upgrade_to(app)
    with psycopg.connect(another_database_url) as reader:
        reader.execute("SELECT FROM articles")
        process = flask("db", "downgrade", "base")
        while not reader.execute(WAITING).rowcount:
            assert process.poll() is None
            time.sleep(0.02)
        Api(app).get("articles", status=200)  # waits until the migration times out
        assert process.poll() is None
    outcome(process)
    assert tables(app) == set()

"""Direct access to the database: read and change rows, hold locks, send requests in parallel."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from flask import Flask
from sqlalchemy import Select, Update, delete, func, insert, select, text, update
from werkzeug.test import TestResponse

from app.core.database.engine import autocommit_connection
from app.extensions import Base, db

Call = Callable[[], TestResponse]

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def add(app: Flask, model: type[Base], **values: Any) -> UUID:
    """Insert a row and return its id."""
    with app.app_context():
        row_id: UUID = db.session.scalar(insert(model).returning(model.id), values)
        db.session.commit()
        return row_id


def change(app: Flask, model: type[Base], row_id: Any, **values: Any) -> None:
    """Set values of a row, for example to let it expire."""
    with app.app_context():
        db.session.execute(update(model).where(model.id == row_id).values(values))
        db.session.commit()


def remove(app: Flask, model: type[Base], **equal: Any) -> None:
    """Delete the rows with these values."""
    with app.app_context():
        db.session.execute(delete(model).filter_by(**equal))
        db.session.commit()


def read(app: Flask, column: Any, **equal: Any) -> list[Any]:
    """The values of one column in the rows whose other columns equal these values."""
    with app.app_context():
        return list(db.session.scalars(select(column).filter_by(**equal)))


def count(app: Flask, model: type[Base], **equal: Any) -> int:
    """The number of rows with these values."""
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model).filter_by(**equal)) or 0


def database_name(url: str) -> str:
    """The name of the database in a URL."""
    return urlsplit(url).path[1:]


def terminate_connections(superuser: psycopg.Connection, url: str) -> None:
    """Terminate all connections of a database and wait for their end."""
    ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"
    superuser.execute(ended, [database_name(url)])


def in_parallel(*calls: Call) -> list[TestResponse]:
    """The responses to requests that are sent in parallel."""
    start = threading.Barrier(len(calls))

    def send(call: Call) -> TestResponse:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(send, calls))


def blocked_by_lock(app: Flask, rows: Select[Any] | Update, *calls: Call) -> list[TestResponse]:
    """The responses to requests that all wait for these locked rows and continue at once.

    An update is committed before they continue. This tests the worst interleaving. SQLite locks
    the whole database; there the requests wait at their first statement.
    """
    with app.app_context(), ThreadPoolExecutor(len(calls)) as pool:
        with db.engine.begin() as holder:
            holder.execute(rows.with_for_update() if isinstance(rows, Select) else rows)
            answers = [pool.submit(call) for call in calls]
            if holder.dialect.name == "postgresql":
                with autocommit_connection() as observer:
                    while observer.scalar(_WAITING) + sum(a.done() for a in answers) < len(calls):
                        time.sleep(0.005)
        return [answer.result() for answer in answers]


def empty_tables() -> None:
    """Delete all rows, by one call of the driver."""
    deletes = _delete_all(tuple(db.metadata.tables))
    with db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if connection.dialect.name == "sqlite":
            driver.executescript(f"BEGIN IMMEDIATE; {deletes}; COMMIT")
        else:
            driver.execute(deletes)
            driver.commit()


@cache
def _delete_all(names: tuple[str, ...]) -> str:
    """SQL that deletes the rows of all tables, of those first that refer to others."""
    tables = [table.name for table in db.metadata.sorted_tables if table.name in names]
    return "; ".join(f"DELETE FROM {name}" for name in reversed(tables))

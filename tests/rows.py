"""The database behind the service's back: rows looked at, moved in time, and fought over."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    """Insert a row; its id."""
    with app.app_context():
        row_id: UUID = db.session.scalar(insert(model).returning(model.id), values)
        db.session.commit()
        return row_id


def change(app: Flask, model: type[Base], row_id: Any, **values: Any) -> None:
    """Change a row: to let time pass for it, or to make what no request could make."""
    with app.app_context():
        db.session.execute(update(model).where(model.id == row_id).values(values))
        db.session.commit()


def remove(app: Flask, model: type[Base], **equal: Any) -> None:
    """Delete the rows with these values."""
    with app.app_context():
        db.session.execute(delete(model).filter_by(**equal))
        db.session.commit()


def read(app: Flask, column: Any, **equal: Any) -> list[Any]:
    """The values of one column, of the rows in which other columns have these values."""
    with app.app_context():
        return list(db.session.scalars(select(column).filter_by(**equal)))


def count(app: Flask, model: type[Base], **equal: Any) -> int:
    """How many rows there are with these values."""
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(model).filter_by(**equal)) or 0


def name_of(url: str) -> str:
    """The database that a URL names."""
    return urlsplit(url).path[1:]


def end_sessions(superuser: psycopg.Connection, url: str) -> None:
    """End all sessions on a database; they are over when this returns."""
    ended = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = %s"
    superuser.execute(ended, [name_of(url)])


def at_once(*calls: Call) -> list[TestResponse]:
    """The answers to requests that are sent at the same moment."""
    start = threading.Barrier(len(calls))

    def send(call: Call) -> TestResponse:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(send, calls))


def held_up(app: Flask, rows: Select[Any] | Update, *calls: Call) -> list[TestResponse]:
    """The answers to requests that all stand before these locked rows, and are let go at once.

    An update is committed when they are.

    So the worst interleaving is the one that is tested. SQLite locks the whole database: there the
    requests stand wherever they first need it.
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

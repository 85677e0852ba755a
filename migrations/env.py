"""How migrations run: one at a time on a database, never waiting long for a lock.

On PostgreSQL an advisory lock lets concurrent starts queue up. A statement that cannot have its
table lock within a second gives way to the queries it would hold up, and is tried again; one that
would keep its lock for longer than a minute is cancelled. docs/migrations.md tells what follows.
"""

import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import SchemaItem

from app.extensions import db

ADVISORY_LOCK = 7_318_349_394_477_056  # any number, the same for every process that migrates
ATTEMPTS = 30
LIMITS = ("SET lock_timeout = '1s'", "SET statement_timeout = '1min'")

T = TypeVar("T")

log = logging.getLogger("alembic.env")
if not context.is_offline_mode():  # the service's own log is on standard output, like that SQL
    logging.getLogger("alembic").setLevel(logging.INFO)


def is_compared(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None
) -> bool:
    """Leave indexes of one database only (`info["dialect"]`) out of comparisons."""
    return not any("dialect" in each.info for each in (item, compare_to) if each is not None)


def prepare(connection: Connection) -> None:
    """Take the advisory lock, then bound the wait for every other lock."""
    if connection.dialect.name == "postgresql":
        connection.connection.driver_connection.response_timeout = (
            None  # see app/core/database/engine.py
        )
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        for limit in LIMITS:
            connection.execute(text(limit))
        connection.commit()


def migrate(connection: Connection) -> None:
    """Run what is to be run; each migration is one transaction."""
    connection.rollback()  # what an attempt before may have left
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        include_object=is_compared,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        transaction_per_migration=connection.dialect.name == "postgresql",
    )
    with context.begin_transaction():
        context.run_migrations()


def is_lock_timeout(error: OperationalError) -> bool:
    """Whether somebody else held a lock for longer than we wait."""
    return getattr(error.orig, "sqlstate", None) == "55P03" or "is locked" in str(error.orig)


def run() -> None:
    """Migrate the database that the application is configured for."""
    if current_app.config["DATABASE_POOLER"]:
        sys.exit("A pooler shares sessions, and with them our locks: migrate PostgreSQL itself")
    with insist(db.engine.connect) as connection:  # a new SQLite file is locked by who is faster
        try:
            prepare(connection)
            insist(partial(migrate, connection))
        finally:
            connection.invalidate()  # its settings and its lock must not live on in the pool


def insist(step: Callable[[], T]) -> T:
    """What the step returns; whenever somebody else holds a lock for too long, it begins anew."""
    for attempt in range(1, ATTEMPTS):
        try:
            return step()
        except OperationalError as error:
            if not is_lock_timeout(error):
                raise
            log.warning("a lock is held by others; attempt %d of %d", attempt + 1, ATTEMPTS)
            time.sleep(min(0.1 * attempt, 1))
    return step()


def run_offline() -> None:
    """Print the SQL instead of running it, for review and for linters."""
    context.configure(
        url=db.engine.url,
        target_metadata=db.metadata,
        literal_binds=True,
        transactional_ddl=True,
        transaction_per_migration=True,
    )
    if db.engine.dialect.name == "postgresql":
        for limit in LIMITS:
            context.execute(limit)
    with context.begin_transaction():
        context.run_migrations()


run_offline() if context.is_offline_mode() else run()

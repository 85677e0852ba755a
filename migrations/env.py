"""The Alembic environment: one process at a time migrates a database, with short lock timeouts.

On PostgreSQL an advisory lock serialises concurrent upgrades. A statement that does not get its
table lock within a second is cancelled and retried, so that it does not block other queries; one
that runs for longer than a minute is cancelled. docs/migrations.md has the rules for migrations.
docs/decisions.md#54-migrations-by-feature
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, TypeVar

from alembic import context
from alembic.migration import MigrationContext
from alembic.runtime.migration import MigrationStep
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import SchemaItem

from app.core.database.migrations import known_revisions
from app.extensions import db
from migrations.autogenerate import render_item
from migrations.revisions import place_revision

ADVISORY_LOCK = 7_318_349_394_477_056  # arbitrary, the same for every process
POLL_SECONDS = 0.2
ATTEMPTS = 30
LIMITS = ("SET lock_timeout = '1s'", "SET statement_timeout = '1min'")

T = TypeVar("T")

log = logging.getLogger("alembic.env")
if not context.is_offline_mode():  # the log is on standard output, like that SQL
    logging.getLogger("alembic").setLevel(logging.INFO)
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)


def is_compared(
    item: SchemaItem, name: str | None, kind: str, reflected: bool, compare_to: SchemaItem | None
) -> bool:
    """Exclude indexes of one dialect (`Index.info["dialect"]`) from comparisons."""
    return not any(each is not None and each.info.get("dialect") for each in (item, compare_to))


def configure(**options: Any) -> None:
    """Configure the migration context; `upgrade head` means the head of every branch."""
    options |= {"target_metadata": db.metadata, "transactional_ddl": True}
    context.configure(**options)
    # Alembic refuses `head`, which is the default of `flask db upgrade`, with several branches.
    if context.get_context().opts.get("destination_rev") == "head":
        context.configure(**options, fn=upgrade_all_branches)


def upgrade_all_branches(applied: tuple[str, ...], _: MigrationContext) -> list[MigrationStep]:
    """Return the steps from the applied revisions to the heads; none if the schema is newer."""
    if newer := set(applied) - known_revisions().known:
        # After a rollback: older code works with the newer schema.
        log.warning("the schema is newer than this code, nothing to do: %s", ", ".join(newer))
        return []
    script = context.script
    missing = list(script.iterate_revisions("heads", applied, implicit_base=True))
    step = partial(MigrationStep.upgrade_from_script, script.revision_map)
    return [step(revision) for revision in reversed(missing)]


def prepare(connection: Connection) -> None:
    """Acquire the advisory lock, then set the timeouts for every other lock."""
    if connection.dialect.name == "postgresql":
        # Waits for locks and slow statements: docs/decisions.md#17-timeouts-on-the-client-side
        connection.connection.driver_connection.response_timeout = None
        take_advisory_lock(connection)
        for limit in LIMITS:
            connection.execute(text(limit))
        connection.commit()


def take_advisory_lock(connection: Connection) -> None:
    """Wait until no other process migrates this database.

    pg_advisory_lock would hold a snapshot while it waits, and CREATE INDEX CONCURRENTLY in the
    process that has the lock waits for all older snapshots.
    """
    lock = text("SELECT pg_try_advisory_lock(:key)")
    for attempt in count():
        if connection.scalar(lock, {"key": ADVISORY_LOCK}):
            return
        connection.rollback()
        if attempt == 0:
            log.warning("another process migrates this database; waiting")
        time.sleep(POLL_SECONDS)


def migrate(connection: Connection) -> None:
    """Run the missing migrations, each in one transaction."""
    connection.rollback()  # of a failed attempt
    # migrations.autogenerate compares them:
    warnings.filterwarnings("ignore", ".*expression-based index")
    postgresql = connection.dialect.name == "postgresql"
    configure(
        connection=connection,
        include_object=is_compared,
        compare_type=True,
        render_as_batch=True,
        autogenerate_plugins=["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        render_item=render_item,
        process_revision_directives=place_revision,
        transaction_per_migration=postgresql,
    )
    with context.begin_transaction():
        context.run_migrations()


def is_lock_timeout(error: OperationalError) -> bool:
    """Whether the wait for the lock of another session timed out."""
    return getattr(error.orig, "sqlstate", None) == "55P03" or "is locked" in str(error.orig)


def check_revisions() -> None:
    """Check that each migration names others that exist.

    Raises:
        CommandError: names the one that does not. Alembic only warns, or raises KeyError.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Revision ")
        try:
            context.script.get_heads()
        except UserWarning as error:
            raise CommandError(str(error)) from error
        except KeyError as error:
            text = f"Revision {error}, which a migration depends on, is not present"
            raise CommandError(text) from error


def run() -> None:
    """Migrate the database of the application."""
    if current_app.config["DATABASE_POOLER"]:
        sys.exit("A pooler shares sessions and their locks: run migrations on PostgreSQL directly")
    with retry(db.engine.connect) as connection:  # a new SQLite file may be locked
        try:
            prepare(connection)
            retry(partial(migrate, connection))
        finally:
            connection.invalidate()  # removes its settings and its lock from the pool


def retry(step: Callable[[], T]) -> T:
    """Return the result of the step, which is retried when the wait for a lock times out."""
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
    configure(url=db.engine.url, literal_binds=True, transaction_per_migration=True)
    if db.engine.dialect.name == "postgresql":
        for limit in LIMITS:
            context.execute(limit)
    with context.begin_transaction():
        context.run_migrations()


check_revisions()
run_offline() if context.is_offline_mode() else run()

"""Runs the tests of PostgreSQL through PgBouncer: TEST_PGBOUNCER=1, or `make test-pgbouncer`.

Migrations and session timeouts are excluded, because they do not pass through a pooler.
"""

import os
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

ON = bool(os.environ.get("TEST_PGBOUNCER"))
# The settings of the service for a connection, in milliseconds; here the role has them.
ROLE = {
    "statement_timeout": 5000,
    "lock_timeout": 2000,
    "idle_in_transaction_session_timeout": 10_000,
}


# A pooler reconnects by itself, which test_pooler.py tests, and keeps connections that began
# read-only for server_lifetime or until RECONNECT.
DIRECT_CONNECTION_TESTS = {
    "test_read_only_database_is_503_for_writes_only",
    "test_unavailable_database_is_503_until_it_is_back",
}
MIGRATION_TESTS = {"test_migrations.py", "test_concurrent_upgrades.py", "test_migrated_service.py"}


def url_through_pooler(url: str) -> str:
    """The URL of the same database through the pooler; sets the role's session settings."""
    name = urlsplit(url).path[1:]
    with psycopg.connect(url, autocommit=True) as connection:
        for setting, value in ROLE.items():
            connection.execute(
                sql.SQL("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = {}").format(
                    sql.Identifier(name), sql.Identifier(setting), sql.Literal(value)
                )
            )
    address = os.environ["TEST_PGBOUNCER_ADDRESS"]
    return url.replace(urlsplit(url).netloc.rpartition("@")[2], address)


def url_without_pooler(url: str) -> str:
    """The URL of the same database without the pooler."""
    if not ON or not url.startswith("postgresql"):
        return url
    return url.replace(os.environ["TEST_PGBOUNCER_ADDRESS"], os.environ["TEST_PGBOUNCER_SERVER"])


def runs_through_pooler(item: pytest.Item) -> bool:
    """Whether a test is meaningful through a pooler."""
    chosen = getattr(item, "callspec", None)
    on_postgresql = bool(chosen) and chosen.params.get("database_url") == "postgresql"
    excluded = item.path.name in MIGRATION_TESTS or item.originalname in DIRECT_CONNECTION_TESTS
    return on_postgresql and not excluded

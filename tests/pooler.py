"""The same tests through PgBouncer: TEST_PGBOUNCER=1, or `make test-pgbouncer`.

Left out are tests of SQLite, and those of what does not go through a pooler: migrations, and
timeouts that a session would be given.
"""

import os
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

ON = bool(os.environ.get("TEST_PGBOUNCER"))
# As settings of the service would say it, in milliseconds.
ROLE = {
    "statement_timeout": 5000,
    "lock_timeout": 2000,
    "idle_in_transaction_session_timeout": 10_000,
    "timezone": "UTC",
}


# What a pooler does better, and a second later, for which test_pooler.py has tests of its own; and
# worse: sessions that began read-only stay in its pool for server_lifetime, or until RECONNECT.
_OF_A_CONNECTION = {
    "test_read_only_database_is_503_for_writes_only",
    "test_unavailable_database_is_503_until_it_is_back",
}


def before(url: str) -> str:
    """The URL of the same database behind the pooler; the role gets what a session would have."""
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


def direct(url: str) -> str:
    """The URL of the same database without the pooler."""
    if not ON or not url.startswith("postgresql"):
        return url
    return url.replace(os.environ["TEST_PGBOUNCER_ADDRESS"], os.environ["TEST_PGBOUNCER_SERVER"])


def goes(item: pytest.Item) -> bool:
    """Whether a test is about what goes through a pooler."""
    chosen = getattr(item, "callspec", None)
    pooled = bool(chosen) and chosen.params.get("database_url") == "postgresql"
    elsewhere = item.path.name == "test_migrations.py" or item.originalname in _OF_A_CONNECTION
    return pooled and not elsewhere

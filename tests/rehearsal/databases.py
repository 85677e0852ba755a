"""The databases of a rehearsal: filled by the old release, dumped, restored and migrated."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests import services
from tests.rehearsal.commands import flask, python

INSIDE = Path(__file__).with_name("inside.py")

Rows = dict[str, list[dict[str, Any]]]


@contextmanager
def databases(directory: Path) -> Iterator[dict[str, str]]:
    """The URLs of a new SQLite file and of a new PostgreSQL database."""
    with services.postgres() as server:
        with psycopg.connect(server, autocommit=True) as connection:
            for name in ("rehearsal_old", "rehearsal_new"):
                connection.execute(f"DROP DATABASE IF EXISTS {name}")
                connection.execute(f"CREATE DATABASE {name}")
        postgresql = f"{server.rpartition('/')[0]}/rehearsal_old"
        yield {"SQLite": f"sqlite:///{directory}/old.db", "PostgreSQL": postgresql}


def fill(clone: Path, url: str) -> Rows:
    """Migrate an empty database, add rows to it, and return all of them."""
    flask(clone, "db", "upgrade", DATABASE_URL=url)
    inside(clone, "fill", url)
    return json.loads(inside(clone, "rows", url))


def restore(url: str) -> str:
    """Dump a database, and restore it as another one, whose URL is returned."""
    if url.startswith("sqlite"):
        old = Path(url.removeprefix("sqlite:///"))
        shutil.copy(old, old.with_name("new.db"))
        return url.replace("old.db", "new.db")
    binaries, new = next(services.postgres_binaries()), url.replace("_old", "_new")
    environ = {"PGPASSWORD": urlsplit(url).password or ""}
    dump = subprocess.check_output([binaries / "pg_dump", "-Fc", url], env=environ)
    subprocess.run([binaries / "pg_restore", "--exit-on-error", "-d", new], input=dump, check=True)
    return new


def read_back(clone: Path, url: str, before: Rows) -> int:
    """Migrate a database of the old release, and compare all of its rows; return their number.

    Raises:
        ValueError: names the tables whose rows are not the same in the old columns.
    """
    flask(clone, "db", "upgrade", DATABASE_URL=url)
    after: Rows = json.loads(inside(clone, "rows", url))
    changed = [table for table, rows in before.items() if not same(rows, after.get(table, []))]
    if changed:
        raise ValueError(f"other rows after the migrations: {', '.join(changed)}")
    inside(clone, "models", url)
    assert "No new upgrade operations" in flask(clone, "db", "check", DATABASE_URL=url)
    return sum(map(len, before.values()))


def same(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> bool:
    """Whether the rows have the same values in the columns that they had before."""
    kept = [{name: row.get(name) for name in before[0]} for row in after] if before else []
    return sorted(map(str, before)) == sorted(map(str, kept))


def inside(clone: Path, command: str, url: str) -> str:
    """The output of `inside.py` in the clone."""
    limits = {"REGISTER_RATE_LIMIT": "1000 per minute", "RATE_LIMIT": "100000 per minute"}
    return python(clone, str(INSIDE), command, DATABASE_URL=url, **limits)

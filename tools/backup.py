"""Back the stack's data up into one file, and restore it from one.

All that the service must not lose is in PostgreSQL, uploads included; Redis holds nothing of the
kind. The secrets (.env, the file of JWT_KEYS) belong where secrets are kept, and are only named.

A restore fills and migrates a database beside the one in use, and changes their names in one
transaction at the end. Until then a file that cannot be restored has touched nothing.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "backups"
AS_USER = ("-U", "app", "--no-password")
CLIENTS = ("web", "worker", "beat")  # all that hold connections


def main() -> None:
    """Do what the first argument names."""
    match sys.argv[1:]:
        case ["backup"]:
            backup()
        case ["restore", file] if file:
            restore(Path(file))
        case _:
            sys.exit("usage: make backup, or make restore FILE=backups/app-….dump")


def backup() -> None:
    """Write a dump of the database as it is at this instant; the service goes on meanwhile."""
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    file = DIRECTORY / time.strftime("app-%Y%m%dT%H%M%SZ.dump", time.gmtime())
    draft = file.with_suffix(".part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            in_postgres("pg_dump", "--format=custom", "--dbname=app", stdout=out)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    print(f"Wrote {file} ({file.stat().st_size} bytes)")
    print("It holds no secrets: keep .env, and the file of JWT_KEYS if there is one, as well")


def restore(file: Path) -> None:
    """Put a dump in the place of the data of the running stack; what was there is kept aside."""
    if not file.is_file():
        sys.exit(f"There is no file {file}")
    aside = time.strftime("before_%Y%m%d_%H%M%S", time.gmtime())
    sql("DROP DATABASE IF EXISTS restored WITH (FORCE)", "CREATE DATABASE restored")
    with file.open("rb") as dump:
        in_postgres("pg_restore", "--exit-on-error", "--no-owner", "--dbname=restored", stdin=dump)
    print("Read the file; migrating what was in it")
    upgrade = 'DATABASE_URL="${DATABASE_URL%/*}/restored" exec flask --app wsgi db upgrade'
    compose("run", "--rm", "--no-deps", "-T", "migrate", "sh", "-c", upgrade)
    compose("stop", *CLIENTS)
    try:
        sql(
            "BEGIN",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname IN ('app', 'restored')",
            f"ALTER DATABASE app RENAME TO {aside}",
            "ALTER DATABASE restored RENAME TO app",
            "COMMIT",
        )
    finally:
        compose("start", *CLIENTS)
    print(f"Restored {file}. What was there before is the database {aside}; to be rid of it:")
    print(f"  docker compose exec postgres dropdb -U app {aside}")


def sql(*statements: str) -> None:
    """Run statements in the stack's PostgreSQL, in a database that is not the service's."""
    options = [option for statement in statements for option in ("-c", statement)]
    psql = ("psql", "-qX", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--dbname=postgres")
    in_postgres(*psql, *options)


def in_postgres(
    program: str, *options: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
) -> None:
    """Run one of PostgreSQL's programs where the server is, so that their versions agree."""
    compose("exec", "-T", "postgres", program, *AS_USER, *options, stdin=stdin, stdout=stdout)


def compose(*command: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> None:
    """Run docker compose in the tree; end with its status when it fails."""
    given = stdin or subprocess.DEVNULL
    done = subprocess.run(["docker", "compose", *command], cwd=ROOT, stdin=given, stdout=stdout)
    if done.returncode:
        sys.exit(f"`{' '.join(command[:4])}` failed; see the lines above")


if __name__ == "__main__":
    main()

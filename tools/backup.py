"""Back up the data of the stack to one file, and restore it.

PostgreSQL has all persistent data, including uploads; Redis has none. A backup contains no secrets
(.env, the file of JWT_KEYS).

A restore fills and migrates a second database, and at the end exchanges the names of the two in one
transaction. A file that cannot be restored changes nothing.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "backups"
SERVICE, SUPERUSER = "app", "postgres"  # roles; the service owns its database, and can create none
CLIENTS = ["web"]  # services with database connections
# begin jobs
CLIENTS += ["worker", "beat"]
# end jobs


def main() -> None:
    """Run the command that the first argument names."""
    match sys.argv[1:]:
        case ["backup"]:
            backup()
        case ["restore", file] if file:
            restore(Path(file))
        case _:
            sys.exit("usage: make backup, or make restore FILE=backups/app-….dump")


def backup() -> None:
    """Write a consistent dump of the database while the service runs."""
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    file = DIRECTORY / time.strftime("app-%Y%m%dT%H%M%SZ.dump", time.gmtime())
    draft = file.with_suffix(".part")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            in_postgres(SERVICE, "pg_dump", "--format=custom", "--dbname=app", stdout=out)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    print(f"Wrote {file} ({file.stat().st_size} bytes)")
    print("It contains no secrets: also keep .env, and the file of JWT_KEYS if there is one")


def restore(file: Path) -> None:
    """Replace the data of the running stack by a dump; the old database gets another name."""
    if not file.is_file():
        sys.exit(f"No such file: {file}")
    aside = time.strftime("before_%Y%m%d_%H%M%S", time.gmtime())
    create = f"CREATE DATABASE restored OWNER {SERVICE}"
    sql("DROP DATABASE IF EXISTS restored WITH (FORCE)", create)
    load = ("pg_restore", "--exit-on-error", "--no-owner", "--dbname=restored")
    with file.open("rb") as dump:
        in_postgres(SERVICE, *load, stdin=dump)
    print("Loaded the file; running the migrations")
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
    print(f"Restored {file}. The previous data is in the database {aside}; to delete it:")
    print(f"  docker compose exec postgres dropdb -U {SUPERUSER} {aside}")


def sql(*statements: str) -> None:
    """Run statements as the superuser in the PostgreSQL of the stack, in the database postgres."""
    options = [option for statement in statements for option in ("-c", statement)]
    psql = ("psql", "-qX", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--dbname=postgres")
    in_postgres(SUPERUSER, *psql, *options)


def in_postgres(
    role: str,
    program: str,
    *options: str,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> None:
    """Run a program of PostgreSQL in the server's container, so that their versions agree."""
    command = (program, "-U", role, "--no-password", *options)
    compose("exec", "-T", "postgres", *command, stdin=stdin, stdout=stdout)


def compose(*command: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> None:
    """Run docker compose in the tree; end with its status when it fails."""
    source = stdin or subprocess.DEVNULL
    done = subprocess.run(["docker", "compose", *command], cwd=ROOT, stdin=source, stdout=stdout)
    if done.returncode:
        sys.exit(f"`{' '.join(command[:4])}` failed; see the lines above")


if __name__ == "__main__":
    main()

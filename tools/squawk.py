"""Lint the SQL of each migration with Squawk: what would lock a table in use, or break a release.

Migration by migration, because a table that is made in the same file counts as a new one, on which
nobody can wait. `-- squawk-ignore RULE` above a statement says that it was meant, as in
docs/migrations.md.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Nothing is sent anywhere: the URL only names the dialect.
POSTGRESQL = "postgresql://nobody@127.0.0.1:1/nothing"
# Our integers are no identifiers, those are UUIDs: they count things whose number is bounded.
EXCLUDED = "prefer-bigint-over-int,prefer-bigint-over-smallint"


def main() -> int:
    """Lint the project's migrations; return Squawk's status."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade", "--sql"]
    environ = {**os.environ, "APP_ENV": "testing", "DATABASE_URL": POSTGRESQL}
    printed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    if printed.returncode:
        sys.exit(printed.stderr)
    linted = lint(printed.stdout)
    print(linted.stdout + linted.stderr)
    return linted.returncode


def lint(sql: str) -> "subprocess.CompletedProcess[str]":
    """What Squawk says of SQL that `flask db upgrade --sql` printed."""
    with tempfile.TemporaryDirectory() as directory:
        names = write(sql, Path(directory))
        squawk = [Path(sys.executable).parent / "squawk", "--pg-version", "15", "--reporter", "gcc"]
        squawk += ["--exclude", EXCLUDED, *names]
        return subprocess.run(squawk, cwd=directory, capture_output=True, text=True)


def write(sql: str, directory: Path) -> list[str]:
    """Write each migration of the printed SQL to a file named after its revision; return the files.

    Each begins with the settings of all, and with the transaction that it runs in.
    """
    head, *migrations = re.split(r"(?m)^-- Running upgrade .*-> (\w+)$", sql)
    settings = head.partition("BEGIN;")[0]
    for name, statements in zip(migrations[::2], migrations[1::2], strict=True):
        # What follows the last COMMIT is the BEGIN of the next.
        own, commit, _ = statements.rpartition("COMMIT;")
        (directory / f"{name}.sql").write_text(f"{settings}BEGIN;\n{own}{commit}\n")
    return [f"{name}.sql" for name in migrations[::2]]


if __name__ == "__main__":
    sys.exit(main())

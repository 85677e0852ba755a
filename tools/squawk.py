"""Lint the SQL of each migration with Squawk: statements that lock a table or break a release.

Each migration is a file of its own, because Squawk allows locks on a table that the same file
creates. `-- squawk-ignore RULE` above a statement allows it (docs/migrations.md).
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# No connection is opened: the URL only selects the dialect.
POSTGRESQL = "postgresql://nobody@127.0.0.1:1/nothing"
# Integers are bounded counts here; identifiers are UUIDs.
EXCLUDED = "prefer-bigint-over-int,prefer-bigint-over-smallint"


def main() -> int:
    """Lint the migrations of the project; return the exit status of Squawk."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade", "--sql"]
    environ = {**os.environ, "APP_ENV": "testing", "DATABASE_URL": POSTGRESQL}
    printed = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    if printed.returncode:
        sys.exit(printed.stderr)
    linted = lint(printed.stdout)
    print(linted.stdout + linted.stderr)
    return linted.returncode


def lint(sql: str) -> "subprocess.CompletedProcess[str]":
    """Run Squawk on SQL that `flask db upgrade --sql` printed."""
    with tempfile.TemporaryDirectory() as directory:
        names = write(sql, Path(directory))
        squawk = [Path(sys.executable).parent / "squawk", "--pg-version", "15", "--reporter", "gcc"]
        squawk += ["--exclude", EXCLUDED, *names]
        return subprocess.run(squawk, cwd=directory, capture_output=True, text=True)


def write(sql: str, directory: Path) -> list[str]:
    """Write each migration of the printed SQL to a file named after its revision; return the names.

    Each file begins with the common settings and with BEGIN.
    """
    head, *migrations = re.split(r"(?m)^-- Running upgrade .*-> (\w+)$", sql)
    settings = head.partition("BEGIN;")[0]
    for name, statements in zip(migrations[::2], migrations[1::2], strict=True):
        # After the last COMMIT follows the BEGIN of the next migration.
        own, commit, _ = statements.rpartition("COMMIT;")
        (directory / f"{name}.sql").write_text(f"{settings}BEGIN;\n{own}{commit}\n")
    return [f"{name}.sql" for name in migrations[::2]]


if __name__ == "__main__":
    sys.exit(main())

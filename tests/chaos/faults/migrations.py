"""A migration under load."""

import os
import subprocess
import sys

from tests.chaos.faults.fault import LOCK, fault
from tests.chaos.faults.postgres import WAITING
from tests.chaos.stack import TIMEOUT, Stack, until

MIGRATION = '''"""A column and an index, during a fault."""

import sqlalchemy as sa
from alembic import op

revision = "chaos"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("articles", sa.Column("chaos", sa.Text()))
    with op.get_context().autocommit_block():
        op.create_index("ix_articles_chaos", "articles", ["chaos"], postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_column("articles", "chaos")
'''


@fault("a migration, while a SELECT of 5 s runs on its table", LOCK)
def migration(stack: Stack) -> str:
    folder = stack.root / "tests/articles/migrations"
    head = "articles_" + max(path.name[:4] for path in folder.glob("[0-9]*.py"))
    file = folder / "chaos.py"
    file.write_text(MIGRATION.format(head=head))
    try:
        with stack.postgres.connect(stack.postgres.administered) as reader:
            with reader.transaction():
                reader.execute("SELECT FROM articles LIMIT 1")
                process = flask(stack, "db", "upgrade")
                blocked = f"{WAITING} AND mode = 'AccessExclusiveLock'"
                with stack.postgres.connect(stack.postgres.administered) as other:
                    until(lambda: other.execute(blocked).rowcount, "the migration waited")
                    reader.execute("SELECT pg_sleep(4)")
                assert process.poll() is None, "it did not wait"
            output, _ = process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0, output
            assert reader.execute(
                "SELECT FROM pg_indexes WHERE indexname = 'ix_articles_chaos'"
            ).rowcount
        assert "a lock is held by others" in output, output
    finally:
        done = flask(stack, "db", "downgrade", head)
        assert done.wait(TIMEOUT) == 0, done.stdout.read()
        file.unlink()
    return "it retried at least once, then created its column and index"


def flask(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "APP_ENV": "testing", "DATABASE_URL": stack.postgres.url}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "tests.wsgi", *arguments],
        cwd=stack.root,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

"""`flask db revision --autogenerate`: the file runs unchanged on both databases."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migrations.revisions import heads_of
from tests.conftest import new_database
from tests.live import ROOT
from tests.migrations.gadgets import INIT, MODELS
from tests.migrations.test_migrations import SCRIPTS
from tests.tools.checkout import copy_tree, run
from tools.scaffold.feature_list import with_feature

DATABASES = ("sqlite", "postgresql")

Flask = Callable[..., str]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree with a feature that has models and no migration."""
    copy_tree(tmp_path)
    package = tmp_path / "app/gadgets"
    package.mkdir()
    (package / "__init__.py").write_text(INIT)
    (package / "models.py").write_text(MODELS)
    features = tmp_path / "app/features.py"
    features.write_text(with_feature(features.read_text(), "gadgets"))
    return tmp_path


@pytest.fixture
def flask(tree: Path, request: pytest.FixtureRequest) -> Iterator[Flask]:
    """`flask("sqlite", "db", "upgrade")` runs the command in the copy, on that database."""
    with (
        new_database(request, "sqlite", tree) as sqlite,
        new_database(request, "postgresql", tree) as postgresql,
    ):
        urls = dict(zip(DATABASES, (sqlite, postgresql), strict=True))

        def flask(database: str, *command: str, status: int = 0) -> str:
            environ = {"DATABASE_URL": urls[database], "APP_ENV": "development"}
            return run(tree, "flask", "--app", "wsgi", *command, status=status, **environ)

        yield flask


def revise(flask: Flask, *options: str, status: int = 1) -> str:
    return flask("sqlite", "db", "revision", *options, status=status)


def change_models(tree: Path, old: str, new: str) -> None:
    models = tree / "app/gadgets/models.py"
    assert old in models.read_text()
    models.write_text(models.read_text().replace(old, new))


def assert_runs_on_both(flask: Flask, down_to: str) -> None:
    for database in DATABASES:
        flask(database, "db", "upgrade")
        assert "No new upgrade operations" in flask(database, "db", "check")
        flask(database, "db", "downgrade", down_to)
        flask(database, "db", "upgrade")
        assert "No new upgrade operations" in flask(database, "db", "check")


def test_branch_that_another_one_needs_is_not_named_as_a_dependency() -> None:
    """Alembic cannot resolve it on a new database."""
    assert heads_of(SCRIPTS, ["auth", "users"]) == [SCRIPTS.get_revision("auth@head").revision]


SECOND_CLASS = """
from migrations.revisions import table_owners
from app.extensions import Base
from tests.articles.models import Article
from tests.wsgi import app


class Ware(Base):
    __table__ = Article.__table__


with app.app_context():
    print(table_owners()["articles"])
"""


@pytest.mark.slow
def test_table_belongs_to_the_feature_that_declares_it(tmp_path: Path) -> None:
    environ = {**os.environ, "APP_ENV": "testing", "DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    command = [sys.executable, "-c", SECOND_CLASS]
    assert subprocess.check_output(command, cwd=ROOT, env=environ, text=True) == "articles\n"


ADDED = """colour: Mapped[str | None] = mapped_column(CodepointText)
    owner: Mapped[UUID | None] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    total: Mapped[Decimal] = mapped_column(Money, server_default="0")"""
ADDED_INDEXES = 'Index("ix_gadgets_colour", func.lower(Gadget.colour))\n'


@pytest.mark.slow
@pytest.mark.parametrize("database", DATABASES)
def test_written_migrations_run_unchanged_on_both_databases(
    tree: Path, flask: Flask, database: str
) -> None:
    flask(database, "db", "upgrade")
    flask(database, "db", "revision", "--autogenerate", "-m", "Gadgets and makers")
    first = tree / "app/gadgets/migrations/0001_gadgets_and_makers.py"
    text = first.read_text()
    assert 'revision = "gadgets_0001"' in text
    assert 'branch_labels = ("gadgets",)' in text
    assert 'depends_on = "users_0001"' in text
    assert "app." not in text
    run(tree, "ruff", "format", "--check", "app/gadgets/migrations")
    run(tree, "ruff", "check", "app/gadgets/migrations")
    assert_runs_on_both(flask, "gadgets@base")

    change_models(tree, "# ADDED\n", ADDED + "\n")
    change_models(tree, "# ADDED INDEXES\n", ADDED_INDEXES)
    search = 'search_index("ix_makers_search", "name")'
    change_models(tree, '("country", "name"),', f'("country", "name"), {search}')
    change_models(tree, "count >= 0", "count >= 1")  # which is not compared
    change_models(tree, 'name="count"', 'name="positive"')
    flask(database, "db", "revision", "--autogenerate", "-m", "Colours")
    text = (tree / "app/gadgets/migrations/0002_colours.py").read_text()
    assert 'revision = "gadgets_0002"\ndown_revision = "gadgets_0001"' in text
    assert re.search(r'depends_on = "auth_\d{4}"\n', text)
    run(tree, "ruff", "check", "app/gadgets/migrations")
    assert_runs_on_both(flask, "gadgets@gadgets_0001")


@pytest.mark.slow
def test_revision_is_written_without_ruff_and_the_command_that_formats_it_is_named(
    tmp_path: Path,
) -> None:
    copy_tree(tmp_path)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/ruff.py").write_text("raise SystemExit(1)")
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/new.db", "PYTHONPATH": "modules"}
    run(tmp_path, "flask", "db", "upgrade", **environ)
    command = ("db", "revision", "--head", "auth@head", "--rev-id", "auth_9999", "-m", "Nothing")
    printed = run(tmp_path, "flask", *command, **environ)
    (written,) = (tmp_path / "app/auth/migrations").glob("*nothing.py")
    assert "revision = 'auth_9999'" in written.read_text()
    assert f"ruff is not installed; to format it: make format ARGS={written}" in printed


@pytest.mark.slow
def test_revisions_that_cannot_be_written_are_refused_with_a_reason(
    tree: Path, flask: Flask
) -> None:
    flask("sqlite", "db", "upgrade")
    flask("sqlite", "db", "revision", "--autogenerate")
    assert [path.name for path in (tree / "app/gadgets/migrations").glob("*.py")] == [
        "0001_gadgets.py"
    ]
    flask("sqlite", "db", "upgrade")
    assert "No changes" in revise(flask, "--autogenerate")
    assert "nothing is no feature; there are: " in revise(flask, "--head", "nothing@head")

    change_models(tree, "func.lower(Gadget.name)", "func.upper(Gadget.name)")
    assert "index uq_gadgets_name differs" in revise(flask, "--autogenerate")
    assert "index uq_gadgets_name differs" in flask("sqlite", "db", "check", status=1)
    change_models(tree, 'Index("uq_gadgets_name", func.upper(Gadget.name), unique=True)\n', "")
    assert "index uq_gadgets_name differs" in revise(flask, "--autogenerate")


@pytest.mark.slow
@pytest.mark.parametrize("named", ["down_revision", "depends_on"])
def test_migration_that_names_a_missing_revision_is_refused_in_one_line(
    tree: Path, named: str
) -> None:
    migrations = tree / "app/gadgets/migrations"
    migrations.mkdir()
    text = "revision, down_revision = 'gadgets_0001', None\nbranch_labels = ('gadgets',)\n"
    (migrations / "0001_gadgets.py").write_text(f"{text}{named} = 'gadgets_0000'\n")
    database = {"DATABASE_URL": f"sqlite:///{tree}/new.db"}
    said = run(tree, "flask", "--app", "wsgi", "db", "upgrade", status=1, **database)
    assert re.search(r"Error: Revision '?gadgets_0000\b.* is not present", said.splitlines()[-1])
    assert "Traceback" not in said


@pytest.mark.slow
def test_revision_belongs_to_the_named_feature_and_has_its_next_number(
    tree: Path, flask: Flask
) -> None:
    flask("sqlite", "db", "upgrade")
    users = tree / "app/users/models.py"
    column = "    colour: Mapped[str | None] = mapped_column(Text)\n"
    users.write_text(users.read_text().replace("    email:", f"{column}    email:", 1))
    assert "Changes of gadgets, users" in revise(flask, "--autogenerate")
    revise(flask, "--autogenerate", "--head", "gadgets@head", "-m", "Gadgets", status=0)
    revise(flask, "--head", "users@head", "-m", "By hand", status=0)
    flask("sqlite", "db", "upgrade")
    revise(flask, "--autogenerate", status=0)
    assert (tree / "app/gadgets/migrations/0001_gadgets.py").exists()
    *_, by_hand, added = sorted((tree / "app/users/migrations").glob("*.py"))
    assert by_hand.name.endswith("_by_hand.py")
    assert "colour" not in by_hand.read_text()
    assert "colour" in added.read_text()
    flask("sqlite", "db", "upgrade")
    assert "No new upgrade operations" in flask("sqlite", "db", "check")

    users.write_text(users.read_text().replace(column, ""))
    assert "users.colour: check its types in downgrade()" in revise(
        flask, "--autogenerate", status=0
    )


@pytest.mark.slow
def test_column_on_a_table_of_upstream_is_migrated_by_the_branch_of_the_clone(
    tree: Path, flask: Flask
) -> None:
    flask("sqlite", "db", "upgrade")
    users = tree / "app/users/models.py"
    column = "    nickname: Mapped[str | None] = mapped_column(Text)\n"
    users.write_text(users.read_text().replace("    role: Mapped", f"{column}    role: Mapped", 1))
    for name in ("Gadgets", "Nicknames"):  # its own changes come first
        revise(flask, "--autogenerate", "--head", "gadgets@head", "-m", name, status=0)
        flask("sqlite", "db", "upgrade")
    assert "nickname" not in (tree / "app/gadgets/migrations/0001_gadgets.py").read_text()
    text = (tree / "app/gadgets/migrations/0002_nicknames.py").read_text()
    assert 'depends_on = "users_0001"' in text
    assert_runs_on_both(flask, "gadgets@gadgets_0001")


@pytest.mark.slow
def test_type_of_one_database_is_refused(tree: Path, flask: Flask) -> None:
    change_models(tree, "# ADDED\n", "ip: Mapped[str] = mapped_column(postgresql.INET)\n")
    flask("sqlite", "db", "upgrade")
    assert "INET() cannot be written for both databases" in revise(flask, "--autogenerate")


@pytest.mark.slow
def test_index_that_only_postgresql_describes_is_removed_on_both_databases(
    tree: Path, flask: Flask
) -> None:
    index = 'Index("ix_gadgets_due_at", Gadget.owner_id, nulls_last_key(Gadget.due_at), Gadget.id)'
    flask("postgresql", "db", "upgrade")
    flask("postgresql", "db", "revision", "--autogenerate")
    flask("postgresql", "db", "upgrade")
    change_models(tree, index, "")
    written = flask("postgresql", "db", "revision", "--autogenerate", "-m", "Due")
    assert "ix_gadgets_due_at: downgrade() creates this index on PostgreSQL only" in written
    assert_runs_on_both(flask, "gadgets@gadgets_0001")

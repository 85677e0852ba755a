"""A clone and its upstream migrate the same tables, each on branches of their own."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from app.extensions import db
from tests.api import Api
from tests.migrations.schemas import downgrade_to, schema, upgrade_to
from tests.migrations.test_migrations import ROWS, also_from, insertion

MIGRATION = '''"""Add a column to users."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "{revision}", {parent!r}
branch_labels, depends_on = {label!r}, {needed!r}


def upgrade() -> None:
    op.add_column("users", sa.Column("{column}", sa.Text(), server_default="new"))


def downgrade() -> None:
    op.drop_column("users", "{column}")
'''
OF_THE_CLONE = {
    "revision": "of_a_clone_0001",
    "parent": None,
    "label": "of_a_clone",
    "needed": "users_0001",
}
OF_UPSTREAM = {"revision": "users_0002", "parent": "users_0001", "label": None, "needed": None}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the migration of the clone: a column of `users`, before the next release."""
    folder = tmp_path / "of_a_clone"
    folder.mkdir()
    (folder / "0001.py").write_text(MIGRATION.format(column="column_of_a_clone", **OF_THE_CLONE))
    return folder


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A folder with the migration of the next release: another column of `users`."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    (folder / "0002.py").write_text(MIGRATION.format(column="locale", **OF_UPSTREAM))
    return folder


@pytest.mark.parametrize("first", ["clone", "upstream", "both"])
def test_branches_of_clone_and_upstream_on_one_table_are_both_applied(
    new_app: Flask,
    clone: Path,
    upstream: Path,
    first: str,
) -> None:
    upgrade_to(new_app)
    with new_app.app_context():
        db.session.execute(insertion("users", ROWS["users"]), ROWS["users"])
        db.session.commit()
    if first != "both":
        with also_from(new_app, clone if first == "clone" else upstream):
            Api(new_app).get("/health/ready", status=503)
            upgrade_to(new_app)
            Api(new_app).get("/health/ready", status=200)
    with also_from(new_app, clone), also_from(new_app, upstream):
        Api(new_app).get("/health/ready", status=503)
        upgrade_to(new_app)
        Api(new_app).get("/health/ready", status=200)
        columns = text("SELECT column_of_a_clone, locale, email FROM users")
        with new_app.app_context():
            assert db.session.execute(columns).one() == ("new", "new", "ada@example.com")
        built = schema(new_app)
        downgrade_to(new_app, "of_a_clone@base")
        with new_app.app_context():
            assert db.session.scalars(text("SELECT locale FROM users")).one() == "new"
        upgrade_to(new_app)
        assert sorted(map(len, schema(new_app))) == sorted(map(len, built))

"""Migrations: up, down, by branches, and as the models say."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic.script import ScriptDirectory
from alembic.util import to_tuple
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import TextClause, text

from app.extensions import db
from tests.api import PASSWORD, PASSWORD_HASH, Api, bearer
from tests.conftest import MakeApp, on_postgresql
from tests.migrations.schemas import (
    MIGRATIONS,
    ROOT,
    TABLES,
    Flask_,
    downgrade_to,
    outcome,
    schema,
    tables,
    upgrade_to,
)
from tools import squawk


def test_upgrade_after_downgrade_builds_the_same_schema(new_app: Flask) -> None:
    upgrade_to(new_app)
    built = schema(new_app)
    assert tables(new_app) >= TABLES
    downgrade_to(new_app)
    assert tables(new_app) == set()
    upgrade_to(new_app)
    assert schema(new_app) == built


def test_upgrade_of_current_schema_changes_nothing(new_app: Flask) -> None:
    upgrade_to(new_app)
    built = schema(new_app)
    upgrade_to(new_app)
    assert schema(new_app) == built


def test_migrations_build_the_schema_of_the_models(flask: Flask_) -> None:
    outcome(flask("db", "upgrade"))
    out, _ = outcome(flask("db", "check"))
    assert "No new upgrade operations detected" in out


# A row of each table, as both databases accept it. The password of the user is PASSWORD.
AT = "2026-01-02 03:04:05.000000"

ID = [f"019b7e5a0000700080000000000000{n:02x}" for n in range(12)]

CREATED = {"version": 3, "created_at": AT, "updated_at": AT}

ROWS: dict[str, dict[str, Any]] = {
    "users": {"id": ID[0], "email": "ada@example.com", "name": "Ada", "role": "editor",
              "password_hash": PASSWORD_HASH, "is_active": True, **CREATED},
    "articles": {"id": ID[2], "sku": "Mug-1", "name": "Mug", "price": "1.50",
                 "category": "kitchen", "currency": "EUR", "stock": 7, "is_active": True,
                 **CREATED},
    "notes": {"id": ID[3], "owner_id": ID[0], "text": "Water", **CREATED},
}  # fmt: skip

SCRIPTS = ScriptDirectory(
    str(MIGRATIONS),
    version_locations=[str(MIGRATIONS / "versions")]
    + [str(folder) for folder in (ROOT / "app").glob("*/migrations")],
)

BRANCHES = sorted(script.revision for script in SCRIPTS.walk_revisions())

HEAD = "articles_0001"  # the parent of the documented migrations


def insertion(table: str, row: dict[str, Any]) -> TextClause:
    names, values = (", ".join(f.format(name) for name in row) for f in ('"{}"', ":{}"))
    return text(f"INSERT INTO {table} ({names}) VALUES ({values})")


def test_removing_and_adding_a_branch_keeps_rows_of_other_branches(
    new_app: Flask,
) -> None:
    upgrade_to(new_app)
    with new_app.app_context():
        for table, row in ROWS.items():
            db.session.execute(insertion(table, row), row)
        db.session.commit()
    downgrade_to(new_app, "articles@base")
    assert tables(new_app) & TABLES == TABLES - {"articles"}
    upgrade_to(new_app)

    api = Api(new_app)
    login = {"email": "ada@example.com", "password": PASSWORD}
    token = api.post("auth/login", login, status=200).json["access_token"]
    note = f"notes/{UUID(ID[3])}"
    assert api.get(note, headers=bearer(token), status=200).json["text"] == "Water"
    kept = {"If-Match": '"3"', **bearer(token)}
    assert api.patch(note, {"text": "Watered"}, headers=kept, status=200).json["version"] == 4
    assert api.get("articles", status=200).json["items"] == []


@pytest.mark.parametrize("revision", BRANCHES)
def test_branch_is_applied_with_its_dependencies_only(new_app: Flask, revision: str) -> None:
    upgrade_to(new_app, revision)
    feature = revision.partition("_")[0]
    expected = {revision, *to_tuple(SCRIPTS.get_revision(revision).dependencies, ())}
    with new_app.app_context():
        applied = set(db.session.scalars(text("SELECT version_num FROM alembic_version")))
    assert revision in applied <= expected
    downgrade_to(new_app, f"{feature}@base")
    upgrade_to(new_app)
    assert tables(new_app) >= TABLES


@contextmanager
def documented(app: Flask, folder: Path) -> Iterator[None]:
    """Add the migrations of docs/migrations.md to those of the application."""
    document = (ROOT / "docs/migrations.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    for number, block in enumerate(blocks):
        (folder / f"{number}.py").write_text(block)
    with also_from(app, folder):
        yield


@contextmanager
def also_from(app: Flask, folder: Path) -> Iterator[None]:
    folders = app.extensions["migration_folders"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.extensions, "migration_folders", (*folders, folder))
        yield


def articles(app: Flask, **columns: str) -> None:
    """Insert a thousand articles with these columns."""
    row = {name: value for name, value in ROWS["articles"].items() if name != "category"} | columns
    with app.app_context():
        more = [{**row, "id": uuid4().hex, "sku": uuid4().hex} for _ in range(1000)]
        db.session.execute(insertion("articles", row), more)
        db.session.commit()


def test_documented_migrations_serve_the_code_of_the_previous_release(
    new_app: Flask, tmp_path: Path
) -> None:
    migrations = tmp_path / "versions"
    migrations.mkdir()
    upgrade_to(new_app)
    articles(new_app, category="kitchen")
    with documented(new_app, migrations):
        upgrade_to(new_app, "articles_0002")
        articles(new_app, category="kitchen")
        upgrade_to(new_app, "articles_0003")
        articles(new_app, category="kitchen", department="kitchen")
        upgrade_to(new_app, "articles_0004")
        articles(new_app, category="kitchen", department="kitchen")
        with new_app.app_context():
            on_one_machine = db.engine.dialect.name == "sqlite"
        if not on_one_machine:
            articles(new_app, department="kitchen")
        upgrade_to(new_app, "articles_0005")
        articles(new_app, department="kitchen")
        count = column(new_app, "count(*)")
        assert column(new_app, "DISTINCT department") == ["kitchen"]
        downgrade_to(new_app, HEAD)
    assert column(new_app, "DISTINCT category") == ["kitchen"]
    assert column(new_app, "count(*)") == count


@on_postgresql
def test_linter_accepts_documented_migrations_and_refuses_careless_ones(
    new_app: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with documented(new_app, tmp_path), new_app.app_context():
        upgrade(revision=f"{HEAD}:articles_0005", sql=True)
    sql = capsys.readouterr().out
    assert sql.count("-- Running upgrade") == 4
    assert (linted := squawk.lint(sql)).returncode == 0, linted.stdout

    careless = {
        " CONCURRENTLY IF NOT EXISTS": "require-concurrent-index-creation",
        " NOT VALID": "constraint-missing-not-valid",
        "-- squawk-ignore ban-drop-column": "ban-drop-column",
        "SET lock_timeout = '1s';": "require-lock-timeout",
    }
    for left_out, rule in careless.items():
        assert left_out in sql
        assert rule in squawk.lint(sql.replace(left_out, "")).stdout


def column(app: Flask, expression: str) -> list[Any]:
    with app.app_context():
        return list(db.session.scalars(text(f"SELECT {expression} FROM articles")))


def test_downgrade_removes_the_rows(new_app: Flask) -> None:
    upgrade_to(new_app)
    api = Api(new_app)
    editor = api.sign_up("editor")
    api.post("notes", {"text": "Water the plants"}, by=editor, status=201)
    mug = {"sku": "M", "name": "M", "category": "M", "price": "1", "currency": "EUR"}
    api.post("articles", mug, by=editor, status=201)
    downgrade_to(new_app)
    upgrade_to(new_app)
    assert api.get("articles", status=200).json["items"] == []


@on_postgresql
def test_printed_sql_builds_the_same_schema(
    flask: Flask_, new_app: Flask, make_app: MakeApp, another_database_url: str
) -> None:
    nowhere = "postgresql://nobody:nothing@127.0.0.1:1/nowhere"
    sql, _ = outcome(flask("db", "upgrade", "--sql", DATABASE_URL=nowhere))
    with psycopg.connect(another_database_url, autocommit=True) as session:
        session.execute(sql)
    printed = schema(new_app)
    downgrade_to(new_app)
    upgrade_to(new_app)
    assert printed == schema(new_app)


def test_upgrade_works_in_a_folder_of_any_name(tmp_path: Path) -> None:
    copy = tmp_path / "100% a?b#c%41&'\"+ü"
    for name in ("app", "migrations", "wsgi.py"):
        source = ROOT / name
        (copy / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    environ = os.environ | {
        "APP_ENV": "testing",
        "SECRET_KEY": "not a secret, but long enough for tests",
        "DATABASE_URL": "",
    }
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    ended = subprocess.run(command, cwd=copy, env=environ, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    with closing(sqlite3.connect(copy / "instance" / "app.db")) as session:
        applied = {name for (name,) in session.execute("SELECT version_num FROM alembic_version")}
    # Alembic does not record a head on which another branch depends.
    depended = {
        name for script in SCRIPTS.walk_revisions() for name in to_tuple(script.dependencies, ())
    }
    assert applied == set(SCRIPTS.get_heads()) - depended

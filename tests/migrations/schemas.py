"""The schema of a new database, and the commands that change it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import inspect, text

from app.extensions import db

ROOT = Path(__file__).parents[2]

MIGRATIONS = ROOT / "migrations"

TABLES = {"users", "sessions", "articles", "notes"}

WAITING = (
    "SELECT FROM pg_locks WHERE NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

Flask_ = Callable[..., subprocess.Popen[str]]


def outcome(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The output of a command that must succeed."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err


def schema(app: Flask) -> list[str]:
    """The whole schema, as the database itself describes it."""
    if_postgresql = (
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
        " SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)"
        " FROM pg_constraint WHERE connamespace = 'public'::regnamespace UNION ALL"
        " SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default,"
        " collation_name) FROM information_schema.columns WHERE table_schema = 'public'"
    )
    if_sqlite = (  # which stores the text of the CREATE statement
        "SELECT replace(sql, '\"', '') FROM sqlite_master WHERE sql IS NOT NULL"
    )
    with app.app_context():
        statement = if_sqlite if db.engine.dialect.name == "sqlite" else if_postgresql
        return sorted(db.session.scalars(text(statement)))


def tables(app: Flask) -> set[str]:
    with app.app_context():
        return set(inspect(db.engine).get_table_names()) - {"alembic_version"}


def upgrade_to(app: Flask, revision: str = "head") -> None:
    with app.app_context():
        upgrade(revision=revision)


def downgrade_to(app: Flask, revision: str = "base") -> None:
    with app.app_context():
        downgrade(revision=revision)

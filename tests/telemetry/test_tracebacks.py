"""Tracebacks in the log name the error of the database, and quote no values."""

import sqlite3
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from app.extensions import db
from app.telemetry.tracebacks import format_exception, hide_values
from tests.articles.models import Article
from tests.conftest import on_postgresql

VALUES = {"sku": "secret-sku", "name": "N", "category": "c", "price": 1, "currency": "EUR"}


def error_of(app: Flask, *statements: Any) -> DBAPIError:
    """The error of the last statement."""
    with app.app_context():
        for statement in statements[:-1]:
            db.session.execute(statement)
        with pytest.raises(DBAPIError) as caught:
            db.session.execute(statements[-1])
        db.session.rollback()
    return caught.value


def formatted(error: BaseException) -> str:
    return format_exception((type(error), error, error.__traceback__))


def test_traceback_of_a_violated_unique_index_has_no_value(app: Flask) -> None:
    create = insert(Article).values(VALUES)
    trace = formatted(error_of(app, create, create))
    assert "IntegrityError" in trace
    assert "uq_articles_sku" in trace
    assert "INSERT INTO articles" in trace
    assert "secret-sku" not in trace


@on_postgresql
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT reverse('eulav-terces')::integer",
        "DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = reverse('eulav-terces'); END $$",
    ],
)
def test_traceback_of_invalid_data_has_no_value(app: Flask, sql: str) -> None:
    trace = formatted(error_of(app, text(sql.replace(":", "\\:"))))
    assert "SQLSTATE" in trace
    assert "secret-value" not in trace


def test_traceback_of_wrong_sql_names_what_is_missing(app: Flask) -> None:
    assert "missing_column" in formatted(error_of(app, text("SELECT missing_column FROM articles")))


def test_message_of_a_library_has_no_value() -> None:
    error = psycopg.errors.UniqueViolation("duplicate key\nDETAIL:  Key (sku)=(secret) exists.")
    hidden = hide_values(f"Task failed: {error}", error)
    assert hidden == "Task failed: SQLSTATE 23505, constraint None"


def test_other_errors_keep_their_messages() -> None:
    error = sqlite3.OperationalError("database is locked")
    assert formatted(error).endswith("database is locked")

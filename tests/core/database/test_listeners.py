"""Listeners for SQL statements."""

from flask import Flask
from sqlalchemy import literal, select, text

from app.core.database import execute
from app.core.database.listeners import on_statement
from app.extensions import db

ONE = select(literal(1).label("one"))


def test_listener_is_called_before_and_after_every_statement(app: Flask) -> None:
    heard: list[str] = []
    remove = on_statement(
        lambda _engine, sql, _parameters: heard.append(f"before {sql.split()[0]}"),
        lambda _engine, sql, _parameters: heard.append(f"after {sql.split()[0]}"),
    )
    expected = ["before SELECT", "after SELECT"]
    with app.app_context():
        execute.fetch_autocommit(ONE, {})
        assert heard == expected
        execute.fetch_autocommit(text("SELECT 1"), {})
        assert heard == expected * 2
        heard.clear()
        db.session.execute(ONE)
        assert heard[-2:] == expected
        execute.execute_in_transaction(ONE, {})
        assert heard[-2:] == expected
        remove()
        heard.clear()
        db.session.execute(ONE)
    assert heard == []

"""The SQL statements that an application executes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import Engine

from app.core.database.listeners import on_statement
from app.extensions import db


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Collect the SQL statements that an application executes during the block."""
    sent: list[str] = []

    with app.app_context():
        own = db.engine

    def note(engine: Engine, sql: str, _parameters: Any) -> None:
        if engine is own:
            sent.append(sql)

    remove = on_statement(note)
    try:
        yield sent
    finally:
        remove()

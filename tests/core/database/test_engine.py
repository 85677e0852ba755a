"""The engine: autocommit in the pool, transactions, connections that the server has closed."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from sqlalchemy import bindparam, func, insert, literal, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from app.core.database import execute
from app.core.database.engine import autocommit_connection
from app.extensions import db
from app.users.models import User
from tests import rows
from tests.conftest import MakeApp, on_postgresql
from tests.pooler import url_without_pooler

ADA = {"email": "ada@example.com", "name": "Ada", "password_hash": "x"}


ONE = select(literal(1).label("one"))


def leave_open() -> None:
    db.session.execute(insert(User), ADA)
    db.session.remove()


def fail() -> None:
    with pytest.raises(SQLAlchemyError):
        db.session.execute(text("SELECT nothing FROM nowhere"))
    db.session.remove()


def fail_in_autocommit() -> None:
    with pytest.raises(DBAPIError):
        execute.fetch_autocommit(select(func.no_such_function()), {})


def commit() -> None:
    with db.engine.begin() as connection:
        connection.execute(ONE)


USES: list[Callable[[], Any]] = [
    leave_open,
    fail,
    fail_in_autocommit,
    commit,
    lambda: execute.fetch_autocommit(ONE, {}),
    lambda: execute.execute_autocommit(text("SELECT 1"), {}),
]


@pytest.mark.parametrize("use", USES)
def test_pooled_connections_are_in_autocommit_and_idle_after_each_use(
    app: Flask, use: Callable[[], Any]
) -> None:
    with app.app_context():
        use()
        pool: Any = db.engine.pool
        pooled = [db.engine.raw_connection() for _ in range(pool.checkedin())]
        assert pooled
        for each in pooled:
            driver: Any = each.driver_connection
            if db.engine.dialect.name == "postgresql":
                state = driver.autocommit, driver.info.transaction_status.name
                assert state == (True, "IDLE")
            else:
                assert (driver.isolation_level, driver.in_transaction) == (None, False)
            each.close()
    assert rows.count(app, User) == 0


def test_autocommit_connection_commits_each_statement(app: Flask) -> None:
    with app.app_context():
        with autocommit_connection() as connection:
            connection.execute(insert(User), ADA)
        assert rows.count(app, User) == 1
        execute.execute_autocommit(insert(User).values(ADA | {"email": "bob@example.com"}), {})
        assert rows.count(app, User) == 2


def test_transaction_of_engine_and_session_is_rolled_back(app: Flask) -> None:
    with app.app_context():
        with db.engine.connect() as connection:
            connection.execute(insert(User), ADA)
            connection.rollback()
        with db.engine.connect() as connection:
            connection.execute(insert(User), ADA)  # and no commit
        db.session.execute(insert(User), ADA)
        db.session.rollback()
    assert rows.count(app, User) == 0


@on_postgresql
def test_transaction_is_read_committed(app: Flask) -> None:
    with app.app_context():
        level = db.session.scalar(text("SHOW transaction_isolation"))
        assert level == "read committed"


@on_postgresql
@pytest.mark.parametrize("use", [commit, lambda: execute.fetch_autocommit(ONE, {})])
def test_all_connections_that_the_server_closed_are_replaced(
    app: Flask, use: Callable[[], Any]
) -> None:
    with app.app_context():
        several = [db.engine.connect() for _ in range(3)]
        pids = [connection.scalar(text("SELECT pg_backend_pid()")) for connection in several]
        for connection in several[:-1]:
            connection.close()
        ended = select(func.pg_terminate_backend(bindparam("pid"), 10_000))
        for pid in pids[:-1]:
            several[-1].execute(ended, {"pid": pid})
        several[-1].close()
        for _ in range(4):
            use()


@on_postgresql
def test_password_with_any_characters_is_read_from_pgpassword(
    make_app: MakeApp, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docker-compose.yml passes it, where a URL would need percent-encoding."""
    password, role = "p@s%s/w?o#rd $'\\", f"role_{uuid4().hex}"
    server = urlsplit(url_without_pooler(database_url))
    monkeypatch.setenv("PGPASSWORD", password)
    with psycopg.connect(server.geturl(), autocommit=True) as superuser:
        literal_password = sql.Literal(password)
        superuser.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(role), literal_password
            )
        )
        try:
            host = server.netloc.rpartition("@")[2]
            app = make_app(database_url=f"postgresql://{role}@{host}{server.path}")
            with app.app_context():
                assert db.session.scalar(text("SELECT current_user")) == role
                db.session.remove()
        finally:
            superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

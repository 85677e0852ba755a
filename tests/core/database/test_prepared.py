"""Statements that psycopg executes itself: as if SQLAlchemy did, with the same errors."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import (
    Numeric,
    Text,
    bindparam,
    cast,
    event,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DataError, DBAPIError, OperationalError

from app.core.database import execute, prepared
from app.core.database.mixins import CALLER_ID_PARAM
from app.extensions import db
from app.products.models import Product
from app.tasks.models import Task
from app.users.models import User
from tests import rows
from tests.api import Caller
from tests.conftest import on_postgresql

pytestmark = on_postgresql

INSTANT = datetime(2030, 1, 31, 18, 0, 0, 123456, UTC)


@pytest.fixture(autouse=True)
def stored(app: Flask, user: Caller) -> None:
    mug = {"sku": "S", "name": "Mügge", "category": "all", "currency": "KWD"}
    rows.add(app, Product, price=Decimal("12.5"), **mug)
    rows.add(app, Task, owner_id=user.id, title="A", due_at=INSTANT, priority="high")
    rows.add(app, Task, owner_id=user.id, title="B", description="% %s %(x)s")


@pytest.mark.parametrize("model", [Product, Task, User])
def test_rows_are_those_of_sqlalchemy(app: Flask, model: type) -> None:
    statement = select(*model.__table__.c).order_by(model.id)
    with app.app_context():
        found, expected = (
            execute.fetch_autocommit(statement, {}),
            db.session.execute(statement).all(),
        )
        assert [row._asdict() for row in found] == [row._asdict() for row in expected]
        assert [list(map(type, row)) for row in found] == [list(map(type, r)) for r in expected]


def test_parameters_go_in_as_their_types_say(app: Flask, user: Caller) -> None:
    mine = select(Task.title).where(
        Task.owner_id == CALLER_ID_PARAM, Task.priority == bindparam("priority"), Task.title != "%"
    )
    with app.app_context():
        found = execute.fetch_autocommit(mine, {"caller_id": user.id, "priority": "high"})
        assert [row.title for row in found] == ["A"]


def test_errors_are_those_of_sqlalchemy_and_leave_the_connection_usable(app: Flask) -> None:
    too_large = select(cast(bindparam("number", type_=Numeric()), Numeric(3)))
    with app.app_context():
        with pytest.raises(DataError) as refused:
            execute.fetch_autocommit(too_large, {"number": Decimal(10_000)})
        assert not refused.value.connection_invalidated
        assert "10000" not in str(refused.value)
        assert execute.fetch_autocommit(too_large, {"number": Decimal(7)})[0][0] == 7
        assert db.engine.pool.checkedout() == 0


def test_a_connection_is_given_back_as_it_was(app: Flask) -> None:
    with app.app_context():
        execute.fetch_autocommit(select(literal(1)), {})
        with db.engine.connect() as connection:
            assert not connection.connection.driver_connection.autocommit


def test_whoever_listens_for_errors_hears_of_them(app: Flask) -> None:
    heard: list[Any] = []

    def hear(context: Any) -> None:
        heard.append(context.original_exception)

    with app.app_context():
        event.listen(db.engine, "handle_error", hear)
        try:
            with pytest.raises(DBAPIError):
                execute.fetch_autocommit(select(func.no_such_function()), {})
        finally:
            event.remove(db.engine, "handle_error", hear)
    assert len(heard) == 1


def test_a_connection_that_breaks_is_replaced(app: Flask) -> None:
    one = select(literal(1))
    with app.app_context():
        execute.execute_in_transaction(one, {})
        pid = db.session.scalar(text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(select(func.pg_terminate_backend(pid)))
        with pytest.raises(OperationalError) as broken:
            execute.execute_in_transaction(one, {})
        assert broken.value.connection_invalidated
        db.session.rollback()
        assert execute.execute_in_transaction(one, {})[0][0] == 1


def test_a_connection_keeps_few_cursors(app: Flask) -> None:
    many = [select(literal(n).label("n")) for n in range(3 * prepared.MAX_CURSORS)]
    with app.app_context():
        for _ in range(2):
            found = [execute.execute_in_transaction(statement, {})[0].n for statement in many]
            assert found == list(range(len(many)))
        assert len(db.session.connection().connection.info["cursors"]) <= prepared.MAX_CURSORS


def test_a_statement_gives_what_it_is_asked_for_each_time(app: Flask) -> None:
    """Also where a value is of another type than it was before."""
    statement = select(literal_column("1").label("one")).where(bindparam("x", type_=Text()) == "x")
    with app.app_context():
        for value, found in [("x", [1]), (None, []), ("y", []), ("x", [1])] * 4:
            assert [row.one for row in execute.fetch_autocommit(statement, {"x": value})] == found

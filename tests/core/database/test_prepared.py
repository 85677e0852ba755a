"""Statements executed by psycopg: rows, parameters and errors equal those of SQLAlchemy."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import (
    Numeric,
    Text,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DataError, OperationalError

from app.core.database import execute, prepared
from app.core.database.mixins import CALLER_ID_PARAM
from app.extensions import db
from app.users.models import User
from tests import rows
from tests.api import Caller
from tests.articles.models import Article
from tests.conftest import on_postgresql
from tests.errands.models import Errand

pytestmark = on_postgresql

INSTANT = datetime(2030, 1, 31, 18, 0, 0, 123456, UTC)


@pytest.fixture(autouse=True)
def stored(app: Flask, user: Caller) -> None:
    mug = {"sku": "S", "name": "Mügge", "category": "all", "currency": "KWD"}
    rows.add(app, Article, price=Decimal("12.5"), **mug)
    rows.add(app, Errand, owner_id=user.id, title="A", due_at=INSTANT, priority="high")
    rows.add(app, Errand, owner_id=user.id, title="B", description="% %s %(x)s")


@pytest.mark.parametrize("model", [Article, Errand, User])
def test_rows_equal_those_of_sqlalchemy(app: Flask, model: type) -> None:
    statement = select(*model.__table__.c).order_by(model.id)
    with app.app_context():
        found, expected = (
            execute.fetch_autocommit(statement, {}),
            db.session.execute(statement).all(),
        )
        assert [row._asdict() for row in found] == [row._asdict() for row in expected]
        assert [list(map(type, row)) for row in found] == [list(map(type, r)) for r in expected]


def test_parameters_are_converted_by_their_types(app: Flask, user: Caller) -> None:
    mine = select(Errand.title).where(
        Errand.owner_id == CALLER_ID_PARAM,
        Errand.priority == bindparam("priority"),
        Errand.title != "%",
    )
    with app.app_context():
        found = execute.fetch_autocommit(mine, {"caller_id": user.id, "priority": "high"})
        assert [row.title for row in found] == ["A"]


def test_errors_equal_those_of_sqlalchemy_and_leave_the_connection_usable(app: Flask) -> None:
    too_large = select(cast(bindparam("number", type_=Numeric()), Numeric(3)))
    with app.app_context():
        with pytest.raises(DataError) as refused:
            execute.fetch_autocommit(too_large, {"number": Decimal(10_000)})
        assert not refused.value.connection_invalidated
        assert "10000" not in str(refused.value)
        assert execute.fetch_autocommit(too_large, {"number": Decimal(7)})[0][0] == 7
        assert db.engine.pool.checkedout() == 0


def test_connection_that_breaks_is_replaced(app: Flask) -> None:
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


def test_connection_keeps_a_bounded_number_of_cursors(app: Flask) -> None:
    many = [select(literal(n).label("n")) for n in range(3 * prepared.MAX_CURSORS)]
    with app.app_context():
        for _ in range(2):
            found = [execute.execute_in_transaction(statement, {})[0].n for statement in many]
            assert found == list(range(len(many)))
        assert len(db.session.connection().connection.info["cursors"]) <= prepared.MAX_CURSORS


def test_statement_returns_the_rows_of_its_values_each_time(app: Flask) -> None:
    """Also for a value of another type than the previous one."""
    statement = select(literal_column("1").label("one")).where(bindparam("x", type_=Text()) == "x")
    with app.app_context():
        for value, found in [("x", [1]), (None, []), ("y", []), ("x", [1])] * 4:
            assert [row.one for row in execute.fetch_autocommit(statement, {"x": value})] == found

"""Classification of database errors."""

import sqlite3

import psycopg
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.database.engine import ServerTimeoutError
from app.core.database.errors import ErrorKind, classify
from app.extensions import db

SQLSTATES = {
    "08006": ErrorKind.UNAVAILABLE,  # connection failure
    "08P01": ErrorKind.UNAVAILABLE,  # what PgBouncer sends when it has no server
    "40P01": ErrorKind.UNAVAILABLE,  # deadlock
    "53300": ErrorKind.UNAVAILABLE,  # too many connections
    "55P03": ErrorKind.UNAVAILABLE,  # lock timeout
    "57014": ErrorKind.UNAVAILABLE,  # statement timeout
    "57P01": ErrorKind.UNAVAILABLE,  # shutdown
    "25006": ErrorKind.UNAVAILABLE,  # read-only transaction
    "22003": ErrorKind.OUT_OF_RANGE,
    "23505": ErrorKind.CONSTRAINT,
    "25P02": ErrorKind.DEFECT,  # in failed transaction
    "42501": ErrorKind.DEFECT,  # insufficient privilege
    "42601": ErrorKind.DEFECT,  # syntax error
    "42703": ErrorKind.DEFECT,  # undefined column
    "42P01": ErrorKind.DEFECT,  # undefined table
    "55000": ErrorKind.DEFECT,  # object not in prerequisite state
    "XX000": ErrorKind.DEFECT,  # internal error
}
SQLITE_CODES = {
    sqlite3.SQLITE_BUSY: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_BUSY_SNAPSHOT: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_FULL: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_IOERR_READ: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_CANTOPEN: ErrorKind.UNAVAILABLE,
    sqlite3.SQLITE_ERROR: ErrorKind.DEFECT,
    sqlite3.SQLITE_CORRUPT: ErrorKind.DEFECT,
}


def kind_of(orig: Exception, base: type[Exception], lost: bool = False) -> ErrorKind:
    error = DBAPIError.instance(
        None, None, orig, base, connection_invalidated=lost, dialect=db.engine.dialect
    )
    assert isinstance(error, SQLAlchemyError)
    return classify(error, db.metadata).kind


@pytest.mark.parametrize("state", SQLSTATES)
def test_error_of_postgresql_is_classified_by_its_sqlstate(app: Flask, state: str) -> None:
    with app.app_context():
        assert kind_of(psycopg.errors.lookup(state)(), psycopg.Error) == SQLSTATES[state]


@pytest.mark.parametrize("code", SQLITE_CODES)
def test_error_of_sqlite_is_classified_by_its_code(app: Flask, code: int) -> None:
    error = sqlite3.OperationalError("database failed")
    error.sqlite_errorcode = code
    with app.app_context():
        assert kind_of(error, sqlite3.Error) == SQLITE_CODES[code]


def test_error_without_sqlstate_is_a_failed_connection_or_a_defect(app: Flask) -> None:
    with app.app_context():
        for orig in (psycopg.OperationalError("refused"), ServerTimeoutError("silent")):
            assert kind_of(orig, psycopg.Error) == ErrorKind.UNAVAILABLE
        defect = psycopg.ProgrammingError("the query has 2 placeholders")
        assert kind_of(defect, psycopg.Error) == ErrorKind.DEFECT
        assert kind_of(defect, psycopg.Error, lost=True) == ErrorKind.UNAVAILABLE


def test_pool_timeout_is_unavailable_and_misuse_of_sqlalchemy_a_defect(app: Flask) -> None:
    assert classify(PoolTimeoutError(), db.metadata).kind == ErrorKind.UNAVAILABLE
    assert classify(InvalidRequestError(), db.metadata).kind == ErrorKind.DEFECT


@pytest.mark.parametrize("sql", ["SELECT * FROM nowhere", "SELECT nothing FROM users", "SELEC 1"])
def test_wrong_sql_is_a_defect(app: Flask, sql: str) -> None:
    with app.app_context():
        with pytest.raises(SQLAlchemyError) as raised:
            db.session.execute(text(sql))
        assert classify(raised.value, db.metadata).kind == ErrorKind.DEFECT


def test_violated_constraint_is_named_with_its_info(app: Flask) -> None:
    columns = "id, version, created_at, updated_at, sku, name, category, price, currency"
    values = "'00000000-0000-7000-8000-000000000000', 1, :now, :now, 'S', 'N', 'c', 1, 'EUR'"
    sql = f"INSERT INTO articles ({columns}, stock, is_active) VALUES ({values}, :stock, true)"
    with app.app_context():
        with pytest.raises(SQLAlchemyError) as raised:
            db.session.execute(text(sql), {"now": "2030-01-01 00:00:00", "stock": -1})
        found = classify(raised.value, db.metadata)
    assert (found.kind, found.constraint) == (ErrorKind.CONSTRAINT, "ck_articles_stock")
    assert found.info == {}

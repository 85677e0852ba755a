"""Problem responses for errors of the database."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from flask import Flask
from sqlalchemy import Table
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from app.core.database.errors import DatabaseError, ErrorKind, OutcomeUnknownError, classify
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.extensions import db

log = structlog.get_logger()

RETRY_AFTER = "2"  # seconds; a restarted PostgreSQL is back sooner


def init_app(app: Flask) -> None:
    """Answer errors of the database as problems."""
    app.register_error_handler(SQLAlchemyError, handle_database_error)


def handle_database_error(error: SQLAlchemyError) -> Response:
    """Return the problem response for an error."""
    # Never the text of the error: it may quote stored data.
    db.session.rollback()
    classified = classify(error, db.metadata)
    if classified.kind is ErrorKind.UNAVAILABLE:
        log.exception("database_unavailable")
        unknown = isinstance(error, OutcomeUnknownError)
        slug = "outcome-unknown" if unknown else "service-unavailable"
        return Problem(slug, headers={"Retry-After": RETRY_AFTER}).get_response()
    if classified.kind is ErrorKind.DEFECT:
        named = {"column": classified.columns[0]} if classified.columns else {}
        log.exception("database_error", **named)
        return Problem("internal-error").get_response()
    return _values_problem(classified).get_response()


def constraint_problem(error: IntegrityError | DataError) -> Problem:
    """Return what is wrong with values that the database does not accept.

    The `info` of a constraint or index in the model may give the member (`field`), the sentence
    (`detail`) and the problem type (`problem`, by default `conflict`).

    Raises:
        IntegrityError: the server gave no value to a column that has no default.
    """
    classified = classify(error, db.metadata)
    if classified.kind is ErrorKind.DEFECT:
        raise error
    return _values_problem(classified)


@contextmanager
def deletion_from(table: Table) -> Iterator[None]:
    """Raise a 409 that says what refers to the rows that the `with` block deletes from a table."""
    try:
        yield
    except IntegrityError as error:
        if classify(error, db.metadata).kind is not ErrorKind.REFERENCE:
            raise
        raise Problem("conflict", _describe_referring(table)) from error


def _describe_referring(table: Table) -> str | None:
    # From the model, because SQLite does not say which key it was.
    names = {
        key.table.name.replace("_", " ")
        for each in db.metadata.tables.values()
        for key in each.foreign_key_constraints
        if key.referred_table.name == table.name and key.ondelete not in ("CASCADE", "SET NULL")
    }
    return f"Items of {' or '.join(sorted(names))} refer to this one." if names else None


def _values_problem(error: DatabaseError) -> Problem:
    if error.kind is ErrorKind.OUT_OF_RANGE:
        return Problem("validation-error", "A value is outside what can be stored.")
    log.info("integrity_error", constraint=error.constraint)
    slug, detail = error.info.get("problem", "conflict"), error.info.get("detail")
    if "field" not in error.info:
        return Problem(slug, detail)
    place = {
        "detail": detail or "Is not compatible with other values.",
        "pointer": f"#/{error.info['field']}",
    }
    return Problem(slug, detail, errors=[place])

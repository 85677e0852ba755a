"""Database errors: what they mean to an HTTP client."""

import re

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.extensions import db

log = structlog.get_logger()

RETRY_AFTER = "2"  # seconds; a restarted PostgreSQL is back sooner


def handle_database_error(error: SQLAlchemyError) -> Response:
    """The problem response for a database error; never its text, which may quote stored data."""
    db.session.rollback()
    match error:
        case IntegrityError() | DataError():
            return constraint_problem(error).get_response()
        case PoolTimeoutError() | DBAPIError():
            log.exception("database_unavailable")
            headers = {"Retry-After": RETRY_AFTER}
            return Problem("service-unavailable", headers=headers).get_response()
    log.exception("database_error")
    return Problem("internal-error").get_response()


def constraint_problem(error: IntegrityError | DataError) -> Problem:
    """What is wrong with values that the database does not take.

    Integrity errors are told apart by the name of the constraint; `info` on the model says more.
    """
    if isinstance(error, DataError):
        return Problem("validation-error", "A value is outside what can be stored.")
    name = _constraint_name(error)
    log.info("integrity_error", constraint=name)
    for table in db.metadata.tables.values():
        for item in (*table.constraints, *table.indexes):
            if name == getattr(item, "name", None) and "field" in item.info:
                place = {"detail": item.info["detail"], "pointer": f"#/{item.info['field']}"}
                slug = item.info.get("problem", "conflict")
                return Problem(slug, item.info["detail"], errors=[place])
    return Problem("conflict")


def _constraint_name(error: IntegrityError) -> str | None:
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        name: str | None = diagnosis.constraint_name
        return name
    # SQLite names a CHECK or an index on an expression; of a plain unique one it names the columns.
    text = str(error.orig)
    if found := re.search(r"(?:CHECK constraint failed: |index ')(\w+)", text):
        return found[1]
    if found := re.search(r"UNIQUE constraint failed: (\w+)\.(\w+)", text):
        return f"uq_{found[1]}_{found[2]}"
    return None

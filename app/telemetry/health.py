"""Health checks: liveness and readiness."""

import os
from typing import Any

import structlog
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.database import execute, migrations
from app.core.resources.blueprint import Blueprint
from app.core.schemas.base import Schema
from app.core.schemas.fields import Enum
from app.core.security.authorization import internal
from app.core.web.database_errors import RETRY_AFTER
from app.core.web.problems import Problem
from app.extensions import limiter

_SELECT_REVISIONS = text("SELECT version_num FROM alembic_version")

log = structlog.get_logger()

health = Blueprint("health", __name__, url_prefix="/health", description="Probes.")


class HealthSchema(Schema):
    """The status of the service."""

    status = Enum(["ok"], required=True)


@health.get("/live", access=internal)
@health.response(200, HealthSchema)
def read_liveness() -> dict[str, Any]:
    """Check liveness.

    The process responds; nothing else is checked.
    """
    return {"status": "ok"}


@health.get("/ready", access=internal)
@health.response(200, HealthSchema)
@health.error(503, "Not ready; `detail` has the reason.")
@health.queries(1)
def read_readiness() -> dict[str, Any]:
    """Check readiness.

    The database responds, and its schema is not behind the code. During a shutdown the status is
    503 while the service still handles requests.
    """
    if os.path.exists(os.environ.get("DRAINING_FILE", "")):  # created by app/server
        raise _unavailable("The service is shutting down.")
    try:
        applied = {row.version_num for row in execute.fetch_autocommit(_SELECT_REVISIONS, {})}
    except SQLAlchemyError as error:
        log.warning("readiness_check_failed", error=type(error).__name__)
        raise _unavailable("The database does not respond, or has no schema.") from error
    # A schema ahead of the code is ready: docs/decisions.md#53-readiness-and-the-schema
    if not migrations.known_revisions().is_current(applied):
        raise _unavailable("The database schema is behind the code.")
    return {"status": "ok"}


def _unavailable(detail: str) -> Problem:
    return Problem("service-unavailable", detail, headers={"Retry-After": RETRY_AFTER})


def init_app(app: Flask) -> None:
    """Register the probes, without rate limits: they are frequent and share one IP address."""
    app.register_blueprint(health)
    limiter.exempt(health)

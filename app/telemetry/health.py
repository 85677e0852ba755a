"""Health checks: liveness of the process, readiness for requests."""

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

_APPLIED = text("SELECT version_num FROM alembic_version")

log = structlog.get_logger()

health = Blueprint("health", __name__, url_prefix="/health", description="Probes.")


class HealthSchema(Schema):
    """The response of a probe."""

    status = Enum(["ok"], required=True)


@health.get("/live", access=internal)
@health.response(200, HealthSchema)
def read_liveness() -> dict[str, Any]:
    """Tell that the process answers; touches nothing else."""
    return {"status": "ok"}


@health.get("/ready", access=internal)
@health.response(200, HealthSchema)
@health.error(503, "No requests may be sent here: see `detail`.")
def read_readiness() -> dict[str, Any]:
    """Tell whether requests may be sent here: the database answers, its schema is not behind.

    A schema ahead of the code is fine: a newer release has migrated, this one still serves. A
    service that is shutting down says 503, but still answers the requests that it receives.
    """
    if os.path.exists(os.environ.get("DRAINING_FILE", "")):  # made by gunicorn.conf.py
        raise _unavailable("The service is about to end.")
    try:
        found = {row.version_num for row in execute.fetch_autocommit(_APPLIED, {})}
    except SQLAlchemyError as error:
        log.warning("readiness_check_failed", error=type(error).__name__)
        raise _unavailable("The database does not answer, or was never migrated.") from error
    if not migrations.known_revisions().is_current(found):
        raise _unavailable("The database schema is behind the code.")
    return {"status": "ok"}


def _unavailable(detail: str) -> Problem:
    headers = {"Retry-After": RETRY_AFTER}
    return Problem("service-unavailable", detail, headers=headers)


def init_app(app: Flask) -> None:
    """Register the probes, without rate limits: they come often, and from one address."""
    app.register_blueprint(health)
    limiter.exempt(health)

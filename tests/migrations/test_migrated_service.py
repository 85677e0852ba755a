"""The service on a schema that is older or newer than its code."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from app.extensions import db
from tests.api import Api
from tests.conftest import dispose
from tests.migrations.schemas import Flask_, downgrade_to, outcome, schema, upgrade_to
from tests.migrations.test_migrations import HEAD, documented


def test_service_is_not_ready_before_every_branch_is_migrated(new_app: Flask) -> None:
    api = Api(new_app)
    api.get("/health/ready", status=503)
    upgrade_to(new_app, "auth@head")
    behind = api.get("/health/ready", status=503)
    assert int(behind.headers["Retry-After"]) > 0
    upgrade_to(new_app)
    api.get("/health/ready", status=200)
    downgrade_to(new_app, "notes@base")
    api.get("/health/ready", status=503)
    api.get("/health/live", status=200)


def test_service_is_not_ready_before_the_last_revision_of_a_branch(
    new_app: Flask, tmp_path: Path
) -> None:
    upgrade_to(new_app)
    with documented(new_app, tmp_path):
        Api(new_app).get("/health/ready", status=503)
        upgrade_to(new_app)
        Api(new_app).get("/health/ready", status=200)


def test_service_stays_ready_when_a_newer_release_has_migrated(new_app: Flask) -> None:
    upgrade_to(new_app)
    migrated_by_a_newer_release(new_app)
    Api(new_app).get("/health/ready", status=200)


@pytest.mark.slow
def test_upgrade_by_an_older_release_succeeds_and_changes_nothing(
    flask: Flask_, new_app: Flask
) -> None:
    upgrade_to(new_app)
    migrated_by_a_newer_release(new_app)
    built = schema(new_app)
    dispose(new_app)
    out, _ = outcome(flask("db", "upgrade"))
    assert "the schema is newer than this code" in out
    assert "articles_9999" in out
    assert schema(new_app) == built


def migrated_by_a_newer_release(app: Flask) -> None:
    newer = "UPDATE alembic_version SET version_num = 'articles_9999' WHERE version_num = :old"
    with app.app_context():
        db.session.execute(text(newer), {"old": HEAD})
        db.session.commit()

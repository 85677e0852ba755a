"""Features: independent packages, registered by one line each."""

from dataclasses import replace
from types import ModuleType

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import inspect

from app import auth, create_app, users
from app.config import ROOT, Settings, StartError
from app.extensions import db
from app.features import FEATURES
from app.users import roles
from tests.api import Api
from tests.conftest import dispose


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.__name__)
def test_feature_package_exports_only_init_app(feature: ModuleType) -> None:
    defined = {
        name
        for name, value in vars(feature).items()
        if getattr(value, "__module__", None) == feature.__name__
    }
    assert defined == {"init_app"}
    assert feature.__doc__


def test_every_package_with_routes_is_in_the_list_of_features() -> None:
    packages = {f"app.{path.parent.name}" for path in (ROOT / "app").glob("*/routes.py")}
    assert packages - {feature.__name__ for feature in FEATURES} == set()


def test_service_without_the_features_that_can_be_removed_migrates_and_is_ready(
    app: Flask, settings: Settings, another_database_url: str
) -> None:
    bare = create_app(replace(settings, database_url=another_database_url), features=(auth, users))
    try:
        with bare.app_context():
            upgrade()
            tables = inspect(db.engine).get_table_names()
        assert {"users", "sessions", "idempotency_keys"} <= {*tables}
        assert not {"audit_events", "jobs"} & {*tables}
        api = Api(bare)
        api.get("/health/ready", status=200)
        api.get("audit-events", status=404)
        api.get("docs", status=404)
    finally:
        dispose(bare)


def test_granted_permission_belongs_to_the_role_and_higher_roles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roles, "ROLES", dict(roles.ROLES))
    roles.grant("editor", "orders:write")
    names = [name for name, permissions in roles.ROLES.items() if "orders:write" in permissions]
    assert names == list(roles.ROLES)[list(roles.ROLES).index("editor") :]


def test_permission_cannot_be_granted_to_an_unknown_role(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(roles, "_wrong_grants", [])
    roles.grant("editr", "orders:write")
    with pytest.raises(StartError, match=r"orders:write: there is no role 'editr'"):
        roles.check_grants()

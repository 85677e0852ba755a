"""Access rules: checked when the application starts, and before each view."""

from typing import Any

import pytest
from flask import Flask

from app import create_app
from app.auth.models import Session
from app.config import Settings
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import (
    Access,
    assert_all_views_protected,
    authenticated,
    current_caller,
    internal,
    no_auth,
    permission,
    public,
)
from app.features import FEATURES
from tests import rows
from tests.api import Api, Caller, bearer
from tests.conftest import MakeApp
from tests.features import as_feature

SETTINGS = Settings(app_env="testing", secret_key="long enough to be let through, yes")


def start_error(access: Any) -> str:
    """Why an application with a view under this rule does not start."""
    things = Blueprint("things", __name__, url_prefix="/things")

    with pytest.raises(RuntimeError) as error:  # noqa: PT012 - either may refuse

        @things.get("", access=access)
        @things.response(204)
        def list_things() -> None:
            """List things."""

        create_app(SETTINGS, features=(*FEATURES, as_feature(things)))
    return str(error.value)


def test_permission_that_no_role_has_stops_the_start() -> None:
    error = start_error(permission("things:raed"))
    assert "no role has the permission 'things:raed'" in error
    assert "list_things (things.list_things)" in error
    assert __name__ in error


@pytest.mark.parametrize(
    "access", ["authenticated", permission, None, True], ids=["text", "function", "None", "bool"]
)
def test_access_of_another_type_stops_the_start(access: Any) -> None:
    error = start_error(access)
    where = f"{__name__}.start_error.<locals>.list_things"
    assert error == f"{where}: access={access!r} is no access rule"


def test_all_views_without_a_valid_rule_are_listed() -> None:
    app = create_app(SETTINGS)
    app.add_url_rule("/first", "first", lambda: "")
    app.register_blueprint(plain_views(permission("nobody:has")))

    with pytest.raises(RuntimeError) as error:
        assert_all_views_protected(app, frozenset({"errands:own"}))
    assert "(first): no access rule is declared" in str(error.value)
    assert "(plain.nobody:has): no role has the permission 'nobody:has'" in str(error.value)


def plain_views(*rules: Access) -> Blueprint:
    """A blueprint with a plain view for each access rule."""
    views = Blueprint("plain", __name__, documented=False)
    for access in rules:

        def view() -> dict[str, str]:
            """The caller."""
            return {"caller": str(current_caller.id)}

        view.__name__ = access.name  # the endpoint
        views.get(f"/{access.name}", access=access)(view)
    return views


@pytest.fixture
def plain(make_app: MakeApp) -> Api:
    """An application with a plain view for each access rule."""
    app = make_app()
    rules = (public, no_auth, internal, authenticated, permission("articles:write"))
    app.register_blueprint(plain_views(*rules))
    return Api(app)


@pytest.mark.parametrize("name", ["public", "authenticated", "articles:write"])
def test_plain_view_rejects_the_token_of_an_ended_session(
    plain: Api, app: Flask, editor: Caller, name: str
) -> None:
    assert plain.get(f"/{name}", by=editor, status=200).json == {"caller": str(editor.id)}
    rows.remove(app, Session, owner_id=editor.id)
    response = plain.get(f"/{name}", by=editor, status=401)
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize(("name", "status"), [("public", 200), ("authenticated", 401)])
def test_plain_view_and_anonymous_callers(plain: Api, name: str, status: int) -> None:
    plain.get(f"/{name}", status=status)


def test_plain_view_requires_its_permission(plain: Api, user: Caller) -> None:
    plain.get("/articles:write", by=user, status=403)


@pytest.mark.parametrize("access", [no_auth, internal], ids=lambda access: access.name)
def test_view_without_authentication_has_an_anonymous_caller(
    plain: Api, user: Caller, access: Access
) -> None:
    path = f"/{access.name}"
    assert plain.get(path, by=user, status=200).json == {"caller": "None"}
    assert plain.get(path, headers=bearer("x.y.z"), status=200).json == {"caller": "None"}

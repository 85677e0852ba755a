"""The order in which a request passes through the declarations of its view."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Response

from app.core.resources.blueprint import Blueprint
from app.core.schemas.base import ResourceSchema, Schema
from app.core.security.authorization import authenticated, no_auth
from tests.api import Api
from tests.conftest import MakeApp


def blueprint(**options: Any) -> Blueprint:
    return Blueprint("shapes", __name__, url_prefix="/shapes", description="Shapes.", **options)


def view() -> Callable[[], None]:
    """A view that no test has decorated."""

    def read_shape() -> None:
        """Read a shape."""

    return read_shape


@pytest.mark.parametrize("documented", [True, False])
def test_ended_session_is_401_before_the_view_runs(make_app: MakeApp, documented: bool) -> None:
    shapes, calls = blueprint(documented=documented), []

    @shapes.get("", access=authenticated)
    @shapes.response(204)
    def count_calls() -> Response:
        """Count the calls."""
        calls.append(1)
        return Response(status=204)

    api = Api(make_app(shapes))
    user = api.sign_up()
    api.get("shapes", by=user, status=204)
    api.post("auth/logout", by=user, status=204)
    response = api.get("shapes", by=user, status=401)
    assert response.mimetype == "application/problem+json"
    assert calls == [1]


def test_access_is_checked_before_media_type_and_query(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=authenticated)(shapes.response(200, Schema)(view()))
    api = Api(make_app(shapes))
    wrong = {"path": "shapes?unknown=1", "headers": {"Accept": "text/html"}}
    api.get(**wrong, status=401)
    user = api.sign_up()
    api.get(**wrong | {"headers": {**user.headers, **wrong["headers"]}}, status=406)
    api.get("shapes?unknown=1", by=user, status=422)


def test_error_of_a_wrong_return_value_names_the_view(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=no_auth)(shapes.returns(ResourceSchema)(view()))
    app = make_app(shapes)
    app.debug = True  # the error is raised, not answered
    with pytest.raises(AttributeError) as raised:
        Api(app).get("shapes")
    (note,) = raised.value.__notes__
    assert note.startswith("tests.core.resources.test_dispatch.view.<locals>.read_shape: docs/")


def test_no_auth_route_ignores_invalid_credentials(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=no_auth)(shapes.response(204)(view()))
    api = Api(make_app(shapes))
    api.get("shapes", headers={"Authorization": "Bearer no.no.no"}, status=204)

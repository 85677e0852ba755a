"""What a view must declare, and the order in which a request passes through the declarations."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Response

from app.core.openapi.operation import DeclarationError
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import authenticated, no_auth, public
from tests.api import Api
from tests.conftest import MakeApp

HERE = "tests.core.resources.test_dispatch"
METHODS = ("get", "post", "put", "patch", "delete")


def blueprint(**options: Any) -> Blueprint:
    return Blueprint("shapes", __name__, url_prefix="/shapes", description="Shapes.", **options)


def undocumented() -> None:
    pass


def plain() -> Response:
    """Return a response of Flask's own."""
    return Response("a circle", mimetype="text/plain")


def read_shape() -> None:
    """Read a shape."""


def refused(declare: Callable[[], Any]) -> str:
    with pytest.raises(DeclarationError) as refusal:
        declare()
    return str(refusal.value)


def test_a_view_without_a_docstring_is_refused_by_module_and_name() -> None:
    shapes = blueprint()
    message = refused(lambda: shapes.get("", access=public)(shapes.response(204)(undocumented)))
    assert message == f"{HERE}.undocumented: a docstring is missing"


def test_a_view_without_a_response_decorator_is_refused_by_module_and_name() -> None:
    message = refused(lambda: blueprint().get("", access=public)(plain))
    assert message == f"{HERE}.plain: a response decorator is missing"


def test_a_route_without_access_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="access"):
        blueprint().get("")  # type: ignore[call-arg]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("limit", ["LOGIN_RATE_LIMITS", "SECRET_KEY", "2 per fortnight", "", 5])
def test_a_rate_limit_that_is_none_is_refused_by_module_and_name(method: str, limit: Any) -> None:
    shapes = blueprint()
    route = getattr(shapes, method)("", access=public, rate_limit=limit)
    message = refused(lambda: route(shapes.response(204)(read_shape)))
    assert message == (
        f"{HERE}.read_shape: rate_limit={limit!r} is neither a limit nor a setting that holds one"
    )


def view_named(name: str) -> Callable[[], None]:
    """A view of its own: flask-limiter knows views by name, for the whole process."""

    def view() -> None:
        """Do nothing."""

    view.__name__ = view.__qualname__ = name
    return view


@pytest.mark.parametrize("limit", ["2 per minute", "LOGIN_RATE_LIMIT"])
def test_every_method_takes_a_rate_limit_or_the_name_of_a_setting(
    make_app: MakeApp, limit: str
) -> None:
    shapes, run = blueprint(), uuid4().hex
    for method in METHODS:
        view = shapes.response(204)(view_named(f"{method}_{run}"))
        getattr(shapes, method)("", access=public, rate_limit=limit)(view)
    api = Api(make_app(shapes, login_rate_limit="2 per minute"))
    for method in METHODS:
        statuses = [api.call(method.upper(), "shapes").status_code for _ in range(3)]
        assert statuses == [204, 204, 429]


def test_the_size_of_a_file_is_a_number_or_a_setting() -> None:
    shapes = blueprint()
    decorate = shapes.accepts_file({"text/csv": "a\r\n"}, "MAX_UPLOAD_LENGHT")
    message = refused(lambda: decorate(read_shape))
    assert message == f"{HERE}.read_shape: max_bytes='MAX_UPLOAD_LENGHT' is not a setting"


def test_a_file_may_be_as_large_as_its_route_says(make_app: MakeApp) -> None:
    shapes = blueprint()

    @shapes.post("", access=public)
    @shapes.accepts_file({"text/csv": "a\r\n"}, 10)
    @shapes.response(204)
    def upload_shape(file: Any, options: dict[str, Any]) -> None:
        """Upload a shape."""

    api = Api(make_app(shapes))
    for size, status in ((10, 204), (11, 413)):
        api.post("shapes", data=b"x" * size, content_type="text/csv", status=status)


def test_plain_views_return_responses_and_are_not_in_the_document(make_app: MakeApp) -> None:
    shapes = blueprint(documented=False)
    shapes.get("/<path:name>", access=public)(plain_with_path)
    app = make_app(shapes)
    response = Api(app).get("shapes/a/b?any=1", headers={"Accept": "text/plain"}, status=200)
    assert response.text == "a/b"
    assert "/api/v1/shapes/{name}" not in Api(app).get("/openapi.json").json["paths"]


def plain_with_path(name: str) -> Response:
    """Return a response of Flask's own."""
    return Response(name, mimetype="text/plain")


@pytest.mark.parametrize("documented", [True, False])
def test_a_revoked_session_is_refused_before_the_view_runs(
    make_app: MakeApp, documented: bool
) -> None:
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


def test_access_is_checked_before_anything_else_of_a_request(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=authenticated)(shapes.response(204)(read_shape))
    api = Api(make_app(shapes))
    wrong = {"path": "shapes?unknown=1", "headers": {"Accept": "text/html"}}
    api.get(**wrong, status=401)
    user = api.sign_up()
    api.get(**wrong | {"headers": {**user.headers, **wrong["headers"]}}, status=406)
    api.get("shapes?unknown=1", by=user, status=422)


def test_routes_that_skip_authentication_serve_any_credentials(make_app: MakeApp) -> None:
    shapes = blueprint()
    shapes.get("", access=no_auth)(shapes.response(204)(read_shape))
    api = Api(make_app(shapes))
    api.get("shapes", headers={"Authorization": "Bearer no.no.no"}, status=204)

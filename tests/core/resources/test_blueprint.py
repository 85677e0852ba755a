"""Declarations of views: docstrings, responses, access, limits."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Response

from app.core.openapi.operation import DeclarationError
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from tests.api import Api
from tests.conftest import MakeApp
from tests.contract.document import document_of

HERE = __name__


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


def test_view_without_docstring_is_an_error_with_its_module_and_name() -> None:
    shapes = blueprint()
    message = refused(lambda: shapes.get("", access=public)(shapes.response(204)(undocumented)))
    assert message == f"{HERE}.undocumented: a docstring is missing"


def test_view_without_response_decorator_is_an_error_with_its_module_and_name() -> None:
    message = refused(lambda: blueprint().get("", access=public)(plain))
    assert message == f"{HERE}.plain: a response decorator is missing"


@pytest.mark.parametrize("method", METHODS)
def test_route_without_access_is_an_error_with_its_module_and_name(method: str) -> None:
    shapes = blueprint()
    view = shapes.response(204)(view_named("read_shape"))
    message = refused(lambda: getattr(shapes, method)("")(view))
    assert message == f"{HERE}.read_shape: an access rule is missing"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "limit",
    ["BULK_RATE_LIMT", "SECRET_KEY", "2 per fortnight", "0 per hour", "2 per 0 hour", "", 2],
)
def test_invalid_rate_limit_is_an_error_with_module_and_name_of_the_view(
    method: str, limit: Any
) -> None:
    shapes = blueprint()
    route = getattr(shapes, method)("", access=public, rate_limit=limit)
    message = refused(lambda: route(shapes.response(204)(view_named("read_shape"))))
    problem = "is neither a limit nor a setting that holds one"
    if limit == 2:
        problem = "is no text or None"
    assert message.endswith(f"rate_limit={limit!r} {problem}")
    assert message.startswith(f"{HERE}.read_shape: ")


def view_named(name: str) -> Callable[[], None]:
    """A view with a unique name: flask-limiter stores limits by name for the whole process."""

    def view() -> None:
        """Do nothing."""

    view.__name__ = view.__qualname__ = name
    return view


@pytest.mark.parametrize("limit", ["2 per hour", "BULK_RATE_LIMIT"])
def test_rate_limit_of_a_route_is_a_limit_or_the_name_of_a_setting(
    make_app: MakeApp, limit: str
) -> None:
    shapes, run = blueprint(), uuid4().hex
    for method in METHODS:
        view = shapes.response(204)(view_named(f"{method}_{run}"))
        getattr(shapes, method)("", access=public, rate_limit=limit)(view)
    api = Api(make_app(shapes, bulk_rate_limit="2 per hour"))
    for method in METHODS:
        statuses = [api.call(method.upper(), "shapes").status_code for _ in range(3)]
        assert statuses == [204, 204, 429]


def test_unknown_setting_for_the_size_of_a_file_is_an_error() -> None:
    shapes = blueprint()
    decorate = shapes.accepts_file({"text/csv": "a\r\n"}, "MAX_UPLOAD_LENGHT")
    message = refused(lambda: decorate(read_shape))
    assert message == f"{HERE}.read_shape: max_bytes='MAX_UPLOAD_LENGHT' is not a setting"


def test_uploaded_file_over_the_size_of_its_route_is_413(make_app: MakeApp) -> None:
    shapes = blueprint()

    @shapes.post("", access=public)
    @shapes.accepts_file({"text/csv": "a\r\n"}, 10)
    @shapes.response(204)
    def upload_shape(file: Any, options: dict[str, Any]) -> None:
        """Upload a shape."""

    api = Api(make_app(shapes))
    for size, status in ((10, 204), (11, 413)):
        api.post("shapes", data=b"x" * size, content_type="text/csv", status=status)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [("image/png", 204), ("Image/SVG+xml", 204), ("text/csv", 204), ("text/plain", 415),
     ("image/*", 415), ("image/", 415), ("image", 415), ("imagery/png", 415), ("*/*", 415),
     ("image/a b", 415), ("", 415)],
)  # fmt: skip
def test_wildcard_accepts_every_subtype_of_a_file(
    make_app: MakeApp, media_type: str, status: int
) -> None:
    shapes = blueprint()

    @shapes.post("", access=public)
    @shapes.accepts_file({"image/*": "GIF89a", "text/csv": "a"}, 10)
    @shapes.response(204)
    def upload_shape(file: Any, options: dict[str, Any]) -> None:
        """Upload a shape."""
        assert file.media_type == media_type.lower()

    response = Api(make_app(shapes)).post("shapes", data=b"x", content_type=media_type)
    assert response.status_code == status
    if status == 415:
        assert response.headers["Accept"] == "image/*, text/csv"


def test_undocumented_view_returns_a_response_and_is_not_in_openapi(make_app: MakeApp) -> None:
    shapes = blueprint(documented=False)
    shapes.get("/<path:name>", access=public)(plain_with_path)
    app = make_app(shapes)
    response = Api(app).get("shapes/a/b?any=1", headers={"Accept": "text/plain"}, status=200)
    assert response.text == "a/b"
    assert "/api/v1/shapes/{name}" not in document_of(app)["paths"]


def plain_with_path(name: str) -> Response:
    """Return a response of Flask's own."""
    return Response(name, mimetype="text/plain")

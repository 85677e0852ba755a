"""Problem details (RFC 9457)."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from app import create_app
from app.config import ConfigError, Settings
from app.core.resources.blueprint import Blueprint
from app.core.web.problems import TYPES, Problem
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp
from tests.core.web.problems import check_problem, fail

pytestmark = pytest.mark.database_independent

ROOT = Path(__file__).parents[3]
NOWHERE = "00000000-0000-7000-8000-000000000000"


JSON = "application/json"


MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}


ERRORS: dict[str, tuple[str, str, str | None, dict[str, Any]]] = {
    "bad-request": ("POST", "articles", "editor", {"data": "{", "content_type": JSON}),
    "invalid-cursor": ("GET", "articles?cursor=x", None, {}),
    "unauthorized": ("GET", "errands", None, {}),
    "forbidden": ("POST", "articles", "user", {"json": MUG}),
    "not-found": ("GET", f"articles/{NOWHERE}", None, {}),
    "method-not-allowed": ("PUT", "articles", None, {}),
    "not-acceptable": ("GET", "articles", None, {"headers": {"Accept": "application/xml"}}),
    "conflict": ("DELETE", "users/me", "admin", {"headers": {"If-Match": "*"}}),
    "precondition-failed": ("DELETE", "users/me", "user", {"headers": {"If-Match": '"99"'}}),
    "precondition-required": ("DELETE", "users/me", "user", {}),
    "content-too-large": (
        "POST", "articles", "editor", {"data": "x" * 2_000_000, "content_type": JSON}
    ),
    "unsupported-media-type": ("POST", "articles", "editor", {"data": "sku,name"}),
    # begin docs
    "range-not-satisfiable": (
        "GET", "/docs/swagger-ui.css", None, {"headers": {"Range": "bytes=999999999-"}}
    ),
    # end docs
    "validation-error": ("POST", "articles", "editor", {"json": {}}),
}  # fmt: skip


@pytest.mark.parametrize("slug", ERRORS)
def test_every_problem_type_has_the_common_members(api: Api, slug: str) -> None:
    method, path, role, kwargs = ERRORS[slug]
    by = api.sign_up(role) if role else None
    with api.call(method, path, by=by, **kwargs) as response:
        check_problem(response, slug)


def test_each_problem_has_a_unique_instance(api: Api) -> None:
    assert api.get("/nothing").json["instance"] != api.get("/nothing").json["instance"]


def test_problem_is_returned_to_clients_that_accept_json(api: Api) -> None:
    check_problem(api.get("/nothing", headers={"Accept": "application/json"}), "not-found")


def test_problem_of_a_head_request_has_no_body(api: Api) -> None:
    response = api.call("HEAD", "/nothing", status=404)
    assert response.data == b""


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/nothing", "/api/v2/articles"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    check_problem(api.call(method, path), "not-found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/.well-known/jwks.json", "GET, HEAD, OPTIONS"),
        ("users/me/password", "OPTIONS, PUT"),
        ("auth/login", "OPTIONS, POST"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "TRACE", "NONSENSE"])
def test_unsupported_method_is_405_with_allow(
    api: Api, method: str, path: str, allowed: str
) -> None:
    response = api.call(method, path)
    check_problem(response, "method-not-allowed")
    assert response.headers["Allow"] == allowed


def test_request_that_does_not_accept_json_is_406_without_effect(api: Api, editor: Caller) -> None:
    xml = {"Accept": "application/xml"}
    check_problem(api.post("articles", MUG, by=editor, headers=xml), "not-acceptable")
    assert api.get("articles").json["items"] == []


def test_untrusted_host_is_400(make_app: MakeApp) -> None:
    api = Api(make_app(trusted_hosts=("api.example.com",)))
    check_problem(api.get("articles", headers={"Host": "evil.example"}), "bad-request")
    api.get("articles", headers={"Host": "api.example.com"}, status=200)


def test_problem_raised_before_the_view_is_returned(make_app: MakeApp) -> None:
    app = make_app()

    @app.before_request
    def refuse() -> None:
        raise Problem("service-unavailable", "Closed for repair.", headers={"Retry-After": "7"})

    for path in ("articles", "/nothing"):
        response = Api(app).get(path)
        assert check_problem(response, "service-unavailable")["detail"] == "Closed for repair."
        assert response.headers["Retry-After"] == "7"


def test_all_invalid_members_are_reported_at_once(api: Api, editor: Caller) -> None:
    body = {"name": "", "price": 12.5, "currency": "XXX", "stock": -1, "is_active": 1, "id": "x"}
    problem = check_problem(api.post("articles", body, by=editor), "validation-error")
    assert sorted(place["pointer"] for place in problem["errors"]) == [
        "#/category", "#/currency", "#/id", "#/is_active", "#/name", "#/price", "#/sku", "#/stock",
    ]  # fmt: skip
    assert all(place["detail"] for place in problem["errors"])


@pytest.mark.parametrize("member", ["id", "version", "created_at", "updated_at"])
def test_read_only_member_is_422(api: Api, editor: Caller, member: str) -> None:
    response = api.post("articles", MUG | {member: None}, by=editor, status=422)
    assert error_locations(response) == {f"#/{member}"}


@pytest.mark.parametrize(
    "error",
    [RuntimeError("s3cret"), KeyError("s3cret"), RecursionError("s3cret"), OSError("s3cret")],
    ids=lambda error: type(error).__name__,
)
def test_unexpected_exception_is_500_without_internals(make_app: MakeApp, error: Exception) -> None:
    response = fail(make_app, error)
    check_problem(response, "internal-error")
    for word in ("s3cret", type(error).__name__, "Traceback", ".py"):
        assert word not in response.text


def test_unexpected_exception_reaches_the_debugger_in_debug_mode(make_app: MakeApp) -> None:
    def make_debug_app(*blueprints: Blueprint) -> Flask:
        app = make_app(*blueprints)
        app.debug = True
        return app

    with pytest.raises(ZeroDivisionError):
        fail(make_debug_app, ZeroDivisionError())


def test_debug_mode_is_refused_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_DEBUG", "1")
    with pytest.raises(ConfigError, match="FLASK_DEBUG would let clients run code"):
        create_app(Settings(app_env="production"))


def test_write_succeeds_after_an_internal_error(
    make_app: MakeApp, api: Api, editor: Caller
) -> None:
    fail(make_app, RuntimeError())
    api.post("articles", MUG, by=editor, status=201)


def test_http_exception_has_the_detail_of_its_problem_type(make_app: MakeApp) -> None:
    class Conflict(HTTPException):
        code = 409
        description = "s3cret"

    assert check_problem(fail(make_app, Conflict()), "conflict")["detail"] != "s3cret"


def raised_slugs(text: str) -> Iterator[tuple[int, str]]:
    """The line and the slug of each `Problem("slug")` in a module."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Name(id="Problem"), args=[ast.Constant(value=str(slug)), *_]):
                yield node.lineno, slug


def test_every_problem_in_the_code_has_a_known_type() -> None:
    files = [file for name in ("app", "examples") for file in (ROOT / name).rglob("*.py")]
    raised = [(file, *each) for file in files for each in raised_slugs(file.read_text())]
    assert len(raised) > 20
    assert [each for each in raised if each[2] not in TYPES] == []

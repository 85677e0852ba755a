"""Header fields of every response."""

import pytest
from flask import Flask

from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import no_auth, public
from app.core.web.flask_app import Response
from tests.api import Api, Caller
from tests.conftest import MakeApp

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def security(response: object) -> dict[str, str]:
    return {name: response.headers.get(name) for name in SECURITY}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "articles", 200),
        ("HEAD", "articles", 200),
        ("OPTIONS", "articles", 204),
        ("GET", "/health/live", 200),
        ("GET", "/.well-known/jwks.json", 200),
        ("GET", "errands", 401),
        ("POST", "articles", 401),
        ("GET", "/nothing", 404),
        ("PUT", "articles", 405),
        ("GET", "articles?x=1", 422),
    ],
)
def test_every_response_has_the_security_headers(
    api: Api, method: str, path: str, status: int
) -> None:
    assert security(api.call(method, path, status=status)) == SECURITY


def test_responses_without_body_have_the_security_headers(api: Api, user: Caller) -> None:
    me = api.get("users/me", by=user, status=200)
    headers = {"If-None-Match": me.headers["ETag"]}
    assert security(api.get("users/me", by=user, headers=headers, status=304)) == SECURITY
    assert security(api.delete("users/me", by=user, status=204)) == SECURITY


def test_internal_error_has_the_security_headers(make_app: MakeApp) -> None:
    odd = Blueprint("odd", __name__, url_prefix="/odd", description="Fails.")

    @odd.get("", access=public)
    @odd.response(204)
    def fail() -> None:
        """Fail."""
        raise RuntimeError

    api = Api(make_app(odd, log_level="CRITICAL"))
    assert security(api.get("odd", status=500)) == SECURITY


def test_rate_limited_response_has_the_security_headers(make_app: MakeApp) -> None:
    api = Api(make_app(rate_limit="1 per hour"))
    api.get("articles", status=200)
    assert security(api.get("articles", status=429)) == SECURITY


def test_responses_have_no_version_banner_and_no_cookie(api: Api) -> None:
    response = api.get("articles", status=200)
    assert "X-Powered-By" not in response.headers
    assert "Set-Cookie" not in response.headers


def test_response_of_a_plain_view_has_its_length(make_app: MakeApp) -> None:
    app = make_app()

    def chunks() -> Response:
        return Response([b"ab", b"c"])

    chunks.access = no_auth  # type: ignore[attr-defined]
    app.add_url_rule("/chunks", view_func=chunks)
    assert Api(app).get("/chunks", status=200).headers["Content-Length"] == "3"


def test_location_of_a_plain_view_is_a_uri(make_app: MakeApp) -> None:
    app = make_app()

    def create() -> Response:
        return Response("x", 201, headers={"Location": "/b\u00fccher und mehr"})

    create.access = no_auth  # type: ignore[attr-defined]
    app.add_url_rule("/books", view_func=create)
    location = Api(app).get("/books", status=201).headers["Location"]
    assert location == "/b%C3%BCcher%20und%20mehr"


def test_coroutine_as_a_view_needs_the_extra_of_flask(app: Flask) -> None:
    async def view() -> None: ...

    with pytest.raises(RuntimeError, match="async"):
        app.ensure_sync(view)

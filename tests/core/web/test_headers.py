"""Header fields on everything: security always, CORS for those allowed."""

import pytest

from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from tests.api import Api, Caller
from tests.conftest import MakeApp

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


def security(response: object) -> dict[str, str]:
    return {name: response.headers.get(name) for name in SECURITY}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "products", 200),
        ("HEAD", "products", 200),
        ("OPTIONS", "products", 204),
        ("GET", "/health/live", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "tasks", 401),
        ("POST", "products", 401),
        ("GET", "/nothing", 404),
        ("PUT", "products", 405),
        ("GET", "products?x=1", 422),
    ],
)
def test_every_answer_is_hardened(api: Api, method: str, path: str, status: int) -> None:
    assert security(api.call(method, path, status=status)) == SECURITY


def test_answers_without_a_body_are_hardened(api: Api, user: Caller) -> None:
    me = api.get("users/me", by=user, status=200)
    headers = {"If-None-Match": me.headers["ETag"]}
    assert security(api.get("users/me", by=user, headers=headers, status=304)) == SECURITY
    assert security(api.delete("users/me", by=user, status=204)) == SECURITY


def test_a_500_is_hardened(make_app: MakeApp) -> None:
    odd = Blueprint("odd", __name__, url_prefix="/odd", description="Fails.")

    @odd.get("", access=public)
    @odd.response(204)
    def fail() -> None:
        """Fail."""
        raise RuntimeError

    api = Api(make_app(odd, log_level="CRITICAL"))
    assert security(api.get("odd", status=500)) == SECURITY


def test_a_429_is_hardened(make_app: MakeApp) -> None:
    api = Api(make_app(rate_limit="1 per hour"))
    api.get("products", status=200)
    assert security(api.get("products", status=429)) == SECURITY


@pytest.mark.parametrize("path", ["/docs", "/problems", "/problems/not-found"])
def test_a_page_for_people_may_load_what_is_ours_and_nothing_else(api: Api, path: str) -> None:
    response = api.get(path, status=200)
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self';" in policy
    assert "://" not in policy
    assert security(response) == SECURITY | {"Content-Security-Policy": policy}


def test_an_answer_does_not_tell_what_made_it(api: Api) -> None:
    response = api.get("products", status=200)
    assert "X-Powered-By" not in response.headers
    assert "Set-Cookie" not in response.headers


# --- CORS ------------------------------------------------------------------------------------

OURS, ALSO_OURS = "https://app.example.com", "https://admin.example.com:8443"
REFUSED = [
    "https://evil.example",
    "null",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://appXexample.com",
    "https://app.example.com/",
    "https://sub.app.example.com",
    "https://app.example.com,https://evil.example",
    "*",
]
PREFLIGHT = {
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization, content-type, if-match",
}


@pytest.fixture
def shared(make_app: MakeApp) -> Api:
    """An application that two origins may call."""
    return Api(make_app(cors_origins=(OURS, ALSO_OURS)))


def cors(response: object) -> dict[str, str]:
    return {n: v for n, v in response.headers if n.startswith("Access-Control-")}


def varies(response: object) -> bool:
    """Whether caches are told that the answer depends on who asks."""
    return "origin" in response.headers.get("Vary", "").lower().replace(" ", "").split(",")


def test_no_origin_is_allowed_by_default(api: Api) -> None:
    for method in ("GET", "OPTIONS"):
        assert cors(api.call(method, "products", headers={"Origin": OURS, **PREFLIGHT})) == {}


@pytest.mark.parametrize("origin", [OURS, ALSO_OURS])
def test_an_allowed_origin_is_named_and_nobody_else(shared: Api, origin: str) -> None:
    response = shared.get("products", headers={"Origin": origin}, status=200)
    assert response.headers.getlist("Access-Control-Allow-Origin") == [origin]
    assert varies(response)
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_a_page_may_read_the_fields_that_the_contract_is_made_of(shared: Api) -> None:
    response = shared.get("products", headers={"Origin": OURS}, status=200)
    exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After",
            "X-Request-ID"} <= set(exposed)  # fmt: skip


@pytest.mark.parametrize("path", ["tasks", "/nothing", "products?x=1"])
def test_a_page_may_read_errors(shared: Api, path: str) -> None:
    response = shared.get(path, headers={"Origin": OURS})
    assert response.status_code >= 400
    assert response.headers["Access-Control-Allow-Origin"] == OURS


def test_a_preflight_needs_no_credentials(shared: Api) -> None:
    path = "tasks/00000000-0000-7000-8000-000000000000"
    response = shared.call("OPTIONS", path, headers={"Origin": OURS, **PREFLIGHT}, status=204)
    assert response.headers["Access-Control-Allow-Origin"] == OURS
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(allowed) == {"authorization", "content-type", "if-match"}
    assert varies(response)


@pytest.mark.parametrize("origin", REFUSED)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_any_other_origin_is_told_nothing(shared: Api, method: str, origin: str) -> None:
    response = shared.call(method, "products", headers={"Origin": origin, **PREFLIGHT})
    assert cors(response) == {}
    assert varies(response)


def test_who_names_no_origin_is_not_told_which_are_allowed(shared: Api) -> None:
    response = shared.get("products", status=200)
    assert cors(response) == {}
    assert varies(response)


def test_one_allowed_origin_is_no_different(make_app: MakeApp) -> None:
    api = Api(make_app(cors_origins=(OURS,)))
    for headers in ({}, {"Origin": "https://evil.example"}):
        response = api.get("products", headers=headers, status=200)
        assert cors(response) == {}
        assert varies(response)

"""CORS for the configured origins."""

from itertools import product

import pytest

from app.core.openapi.document import openapi_document
from tests.api import Api
from tests.conftest import MakeApp

pytestmark = pytest.mark.database_independent

OURS, ALSO_OURS = "https://app.example.com", "https://admin.example.com:8443"


# Fetch standard, "CORS-safelisted response-header name".
SAFELISTED = {"Cache-Control", "Content-Language", "Content-Length", "Content-Type", "Expires",
              "Last-Modified", "Pragma"}  # fmt: skip
REFUSED = [
    "https://evil.example",
    "null",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://appXexample.com",
    "https://app.example.com/",
    "https://APP.example.com",
    "https://app.example.com\t",
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
    """An application with two allowed origins."""
    return Api(make_app(cors_origins=(OURS, ALSO_OURS)))


def cors(response: object) -> dict[str, str]:
    return {n: v for n, v in response.headers if n.startswith("Access-Control-")}


def varies(response: object) -> bool:
    """Whether the response has `Vary: Origin`."""
    return "origin" in response.headers.get("Vary", "").lower().replace(" ", "").split(",")


def test_no_origin_is_allowed_by_default(api: Api) -> None:
    for method in ("GET", "OPTIONS"):
        assert cors(api.call(method, "articles", headers={"Origin": OURS, **PREFLIGHT})) == {}


@pytest.mark.parametrize("origin", [OURS, ALSO_OURS])
def test_allowed_origin_is_returned_alone_and_without_credentials(shared: Api, origin: str) -> None:
    response = shared.get("articles", headers={"Origin": origin}, status=200)
    assert response.headers.getlist("Access-Control-Allow-Origin") == [origin]
    assert varies(response)
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_every_header_field_of_the_document_is_exposed(shared: Api) -> None:
    sent = set(openapi_document(shared.app)["components"]["headers"])
    response = shared.get("articles", headers={"Origin": OURS}, status=200)
    exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
    assert sent - SAFELISTED - {"Access-Control-Allow-Origin"} <= exposed


def test_header_fields_of_other_methods_are_exposed(shared: Api) -> None:
    refused = shared.put("errands", headers={"Origin": OURS}, status=405)
    options = shared.call("OPTIONS", "errands", headers={"Origin": OURS}, status=204)
    for response in (refused, options):
        exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
        own = {name for name, _ in response.headers if not name.startswith("Access-Control-")}
        assert own - SAFELISTED <= exposed


def test_preflight_can_be_cached(shared: Api) -> None:
    response = shared.call("OPTIONS", "errands", headers={"Origin": OURS, **PREFLIGHT}, status=204)
    assert int(response.headers["Access-Control-Max-Age"]) >= 600


@pytest.mark.parametrize("path", ["articles", "auth/login", "users", "/.well-known/jwks.json"])
def test_preflights_do_not_count_against_the_rate_limit(make_app: MakeApp, path: str) -> None:
    limits = {"rate_limit": "3 per hour", "login_rate_limit": "3 per hour"}
    api = Api(make_app(cors_origins=(OURS,), redis_timeout_ms=10_000, **limits))
    for _ in range(5):
        preflight = api.call("OPTIONS", path, headers={"Origin": OURS, **PREFLIGHT}, status=204)
        assert preflight.headers["Access-Control-Allow-Origin"] == OURS
    for status in (200, 200, 200, 429):
        api.get("articles", headers={"Origin": OURS}, status=status)
    api.call("OPTIONS", path, headers={"Origin": OURS, **PREFLIGHT}, status=204)
    api.call("OPTIONS", path, headers={"Origin": OURS}, status=429)  # no preflight


def test_origin_with_an_ipv6_address_is_compared_exactly(make_app: MakeApp) -> None:
    api = Api(make_app(cors_origins=("http://[::1]:3000",)))
    for origin, allowed in {"http://[::1]:3000": True, "http://:": False, "http://1:3000": False,
                            "http://[::1]:30001": False}.items():  # fmt: skip
        response = api.get("articles", headers={"Origin": origin}, status=200)
        assert ("Access-Control-Allow-Origin" in response.headers) == allowed


@pytest.mark.parametrize("path", ["errands", "/nothing", "articles?x=1"])
def test_errors_can_be_read_by_an_allowed_origin(shared: Api, path: str) -> None:
    response = shared.get(path, headers={"Origin": OURS})
    assert response.status_code >= 400
    assert response.headers["Access-Control-Allow-Origin"] == OURS


def test_preflight_needs_no_credentials(shared: Api) -> None:
    path = "errands/00000000-0000-7000-8000-000000000000"
    response = shared.call("OPTIONS", path, headers={"Origin": OURS, **PREFLIGHT}, status=204)
    assert response.headers["Access-Control-Allow-Origin"] == OURS
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(allowed) == {"authorization", "content-type", "if-match"}
    assert varies(response)


def test_other_origins_get_no_cors_headers(shared: Api, subtests: pytest.Subtests) -> None:
    for method, origin in product(("GET", "OPTIONS"), REFUSED):
        with subtests.test(method=method, origin=origin):
            response = shared.call(method, "articles", headers={"Origin": origin, **PREFLIGHT})
            assert cors(response) == {}
            assert varies(response)


def test_request_without_origin_gets_no_cors_headers(shared: Api) -> None:
    response = shared.get("articles", status=200)
    assert cors(response) == {}
    assert varies(response)


def test_single_allowed_origin_is_not_revealed_to_others(make_app: MakeApp) -> None:
    api = Api(make_app(cors_origins=(OURS,)))
    for headers in ({}, {"Origin": "https://evil.example"}):
        response = api.get("articles", headers=headers, status=200)
        assert cors(response) == {}
        assert varies(response)

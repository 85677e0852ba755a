"""Fields of trusted proxies: the client's address, the scheme, the host and the path prefix."""

from typing import Any

import pytest
from flask import Flask

from tests.api import Api
from tests.conftest import MakeApp

pytestmark = pytest.mark.database_independent

PREFIXED = {"X-Forwarded-Prefix": "/shop"}


def problem_type(app: Flask, headers: dict[str, str], **environ: Any) -> str:
    """The `type` of a 404, which shows the prefix of the service."""
    response = Api(app).get("/nothing", headers=headers, environ_overrides=environ, status=404)
    return str(response.json["type"])


PREFIXES = {
    "/shop": "/shop",
    "/shop/": "/shop",
    "/a/b-1.2": "/a/b-1.2",
    "/": "",
    "/first, /shop": "/shop",
    "//evil.example": "",
    "https://evil.example": "",
    "shop": "",
    "/shop/..": "",
    "/../shop": "",
    "/a b": "",
    '/a"><script>': "",
    "/a?b": "",
}


def test_prefix_of_a_trusted_proxy_is_used_if_it_is_a_path(
    make_app: MakeApp, subtests: pytest.Subtests
) -> None:
    app = make_app(trusted_proxies=1)
    for sent, prefix in PREFIXES.items():
        with subtests.test(sent=sent):
            found = problem_type(app, {"X-Forwarded-Prefix": sent})
            assert found == f"{prefix}/problems/not-found"


def test_prefix_of_a_client_is_ignored(make_app: MakeApp) -> None:
    assert problem_type(make_app(trusted_proxies=0), PREFIXED) == "/problems/not-found"
    assert problem_type(make_app(trusted_proxies=2), PREFIXED) == "/problems/not-found"


def test_prefix_of_a_proxy_precedes_the_prefix_of_the_server(make_app: MakeApp) -> None:
    app = make_app(trusted_proxies=1)
    assert problem_type(app, {}, SCRIPT_NAME="/svc") == "/svc/problems/not-found"
    assert problem_type(app, PREFIXED, SCRIPT_NAME="/svc") == "/shop/svc/problems/not-found"


def test_path_that_only_begins_like_the_prefix_is_404(make_app: MakeApp) -> None:
    environ = {"SCRIPT_NAME": "/svc", "PATH_INFO": "health/live"}  # of /svchealth/live
    Api(make_app()).get("/", environ_overrides=environ, status=404)


SCHEMES = {
    "https": "https",
    "HTTPS": "https",
    "http": "http",
    "https, http": "http",
    "gopher": "http",
    "https://evil.example/": "http",
}


def test_scheme_of_a_trusted_proxy_is_http_or_https(
    make_app: MakeApp, subtests: pytest.Subtests
) -> None:
    api = Api(make_app(trusted_proxies=1))
    by = api.sign_up("editor")
    for number in range(2):
        body = {"name": "Mug", "category": "a", "price": "1.00", "currency": "EUR"}
        api.post("articles", body | {"sku": f"MUG-{number}"}, by=by, status=201)
    for sent, scheme in SCHEMES.items():
        with subtests.test(sent=sent):
            headers = {"X-Forwarded-Proto": sent, "X-Forwarded-Host": "API.example.com.:8443"}
            link = api.get("articles?limit=1", headers=headers, status=200).headers["Link"]
            assert link.startswith(f"<{scheme}://api.example.com:8443/api/v1/articles?")


@pytest.mark.parametrize(
    "text",
    [
        "192.0.2.7",
        "192.0.2.7:5678",
        "203.0.113.9, 192.0.2.7:5678",
        "[::ffff:192.0.2.7]:443",
        'for="[::ffff:192.0.2.7]:443"',
        'For="192.0.2.7:5678"',
    ],
)
def test_client_behind_a_proxy_is_counted_by_one_address(make_app: MakeApp, text: str) -> None:
    api = Api(make_app(trusted_proxies=1, rate_limit="1 per hour"))
    api.get("articles", headers={"X-Forwarded-For": "192.0.2.7"}, status=200)
    api.get("articles", headers={"X-Forwarded-For": text}, status=429)
    api.get("articles", headers={"X-Forwarded-For": "192.0.2.8:5678"}, status=200)

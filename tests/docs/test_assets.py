"""The files of `/docs` and the document: conditional requests, content security policy."""

import pytest

from app.core.web.flask_app import SECURITY_HEADERS
from tests.api import Api

ASSETS = ["/docs/pages.css", "/docs/swagger-ui.css", "/openapi.json"]


@pytest.mark.parametrize("path", ASSETS)
@pytest.mark.parametrize(
    ("condition", "status"), [("*", 200), ("{tag}", 200), ('"x", {tag}', 200), ('"x"', 412)]
)
def test_if_match_of_an_asset(api: Api, path: str, condition: str, status: int) -> None:
    full = api.get(path, status=200)
    tag = full.headers["ETag"]
    response = api.get(path, headers={"If-Match": condition.format(tag=tag)}, status=status)
    assert (response.data == full.data) == (status == 200)


@pytest.mark.parametrize("path", ASSETS)
@pytest.mark.parametrize("condition", ["*", "{tag}", "W/{tag}"])
def test_unchanged_asset_is_a_304(api: Api, path: str, condition: str) -> None:
    tag = api.get(path, status=200).headers["ETag"]
    for headers in ({}, {"If-Match": "*"}):
        condition_headers = {"If-None-Match": condition.format(tag=tag), **headers}
        assert api.get(path, headers=condition_headers, status=304).headers["ETag"] == tag


@pytest.mark.parametrize("path", ["/docs", "/problems", "/problems/not-found"])
def test_content_security_policy_of_html_pages_allows_the_own_origin_only(
    api: Api, path: str
) -> None:
    response = api.get(path, status=200)
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self';" in policy
    assert "://" not in policy
    expected = SECURITY_HEADERS | {"Content-Security-Policy": policy}
    assert {name: response.headers.get(name) for name in expected} == expected

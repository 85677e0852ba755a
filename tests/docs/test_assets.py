"""The files of `/docs` and the document, with conditional requests."""

import pytest

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

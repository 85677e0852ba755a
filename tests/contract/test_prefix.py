"""Below a path prefix: every URL in every response begins with it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api import PASSWORD
from tests.contract.document import CheckedApi
from tests.contract.operations import COLLECTIONS, CREATES, OPERATIONS, Operation, ids
from tests.contract.world import World, links

pytestmark = pytest.mark.database_independent

PREFIX = "/svc"


class PrefixedApi(CheckedApi):
    """Sends requests as a server with SCRIPT_NAME does, and checks the URLs of the responses."""

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        environ = {"SCRIPT_NAME": PREFIX}
        path = path.removeprefix(PREFIX)
        response = super().call(method, path, environ_overrides=environ, **kwargs)
        for url in urls(response):
            assert url.startswith(f"{PREFIX}/"), f"{method} {path}: {url} is not below {PREFIX}"
        return response


def urls(response: TestResponse) -> Iterator[str]:
    """The paths of all URLs of this service in a response; also those of cookies."""
    headers = response.headers
    if "Location" in headers:
        yield headers["Location"]
    yield from links(response).values()  # without scheme and host
    for cookie in headers.getlist("Set-Cookie"):
        if not cookie.startswith("__Host-"):  # browsers require its path to be "/"
            yield cookie.partition("Path=")[2].partition(";")[0]
    if response.mimetype == "text/html":
        yield from re.findall(r'(?:href|src|data-url)="([^"]*)"', response.text)
    if response.is_json and "openapi" not in response.json:
        text = response.text
        yield from re.findall(r'"(/(?:[^"]*/)?(?:problems|api|docs)/[^"]*)"', text)


@pytest.fixture
def prefixed(app: Flask) -> Iterator[World]:
    """A world whose requests are sent below the prefix."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.extensions["jobs"], "send", lambda job_id: None)
        world = World(app)
        world.api = PrefixedApi(app)
        world.api.fill = world.fill
        yield world


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_urls_of_responses_are_below_the_prefix(prefixed: World, operation: Operation) -> None:
    path = prefixed.path(operation)
    prefixed.call(operation, prefixed.writer(operation), path)
    prefixed.call(operation, None, path)
    invalid = {"json": {"nothing": "x"}} if operation.method in ("POST", "PATCH", "PUT") else {}
    prefixed.api.call(operation.method, f"{path}?nothing=1", by=prefixed.admin, **invalid)


@pytest.mark.parametrize("operation", CREATES, ids=ids)
def test_location_below_the_prefix_is_the_item(prefixed: World, operation: Operation) -> None:
    by = prefixed.writer(operation)
    sent = prefixed.content(operation)
    created = prefixed.api.call("POST", operation.rule, by=by, status=201, **sent)
    collection = prefixed.fill(operation.rule)
    assert created.headers["Location"] == f"{PREFIX}{collection}/{created.json['id']}"


@pytest.mark.parametrize("operation", COLLECTIONS, ids=ids)
def test_links_of_lists_are_below_the_prefix(prefixed: World, operation: Operation) -> None:
    create = next(c for c in CREATES if c.rule == operation.rule)
    for _ in range(3):
        prefixed.call(create, prefixed.writer(create))
    by = prefixed.writer(operation)
    first = prefixed.api.get(f"{operation.rule}?limit=1", by=by, status=200)
    second = prefixed.api.get(links(first)["next"], by=by, status=200)
    assert set(links(second)) == {"first", "prev", "next"}
    assert prefixed.api.get(links(second)["prev"], by=by, status=200).json == first.json


def test_cookies_of_the_browser_are_sent_below_the_prefix_only(prefixed: World) -> None:
    owner = prefixed.owner
    credentials = {"email": owner.email, "password": PASSWORD}
    response = prefixed.api.post("auth/cookies", credentials, status=200)
    [refresh] = [c for c in response.headers.getlist("Set-Cookie") if c.startswith("__Secure-")]
    assert "Path=/svc/api/v1/auth;" in f"{refresh};"
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(refresh.split("; "))


# begin docs
def test_document_names_the_prefix_as_server(prefixed: World) -> None:
    with_prefix = prefixed.api.app.test_client().get("/openapi.json", base_url=f"http://a{PREFIX}")
    assert with_prefix.json["servers"][0]["url"] == PREFIX
    assert prefixed.api.app.test_client().get("/openapi.json").json["servers"][0]["url"] == "/"


@pytest.mark.parametrize("path", ["/docs", "/problems", "/problems/not-found"])
def test_pages_link_only_to_what_exists_below_the_prefix(prefixed: World, path: str) -> None:
    for url in urls(prefixed.api.get(path, status=200)):
        prefixed.api.get(url, status=200)


# end docs

"""Logins with a provider: as a native client and as a browser."""

import os
from functools import cache
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener
from uuid import uuid4

from flask import Flask, current_app, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.oidc.provider import Provider
from app.oidc.settings import read_providers
from tests.api import Api, bearer

LOOPBACK = "http://127.0.0.1:49152/callback"
CALLBACK = "/api/v1/auth/oidc/honest/callback"


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None: ...


def authorize(url: str) -> str:
    """The URL to which the provider returns the browser."""
    try:
        build_opener(_NoRedirects).open(url)
    except HTTPError as response:
        with response:
            return str(response.headers["Location"])
    raise AssertionError("no redirect")


def query_of(url: str) -> dict[str, str]:
    """The parameters in a URL."""
    return dict(parse_qsl(urlsplit(url).query))


@cache
def providers_of(memory: str) -> dict[str, Provider]:
    """The providers of the environment; those with a new name remember nothing."""
    found = read_providers(os.environ, production=False)
    return {each.name: Provider(each) for each in found}


def use_memory_of_test() -> None:
    """Before a request in another process, the stack's: do what `forget` does in this one."""
    current_app.extensions["oidc"] = providers_of(request.headers.get("X-Test-Memory", ""))


class Client(Api):
    """Requests to the routes of OpenID Connect."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.forget()

    def forget(self) -> None:
        """Let the application forget what it has fetched from the providers."""
        self.memory = uuid4().hex
        self.app.extensions["oidc"] = providers_of(self.memory)

    def client(self) -> FlaskClient:
        client = super().client()
        client.environ_base["HTTP_X_TEST_MEMORY"] = self.memory
        return client

    def start(self, provider: str = "honest", **kwargs: Any) -> TestResponse:
        """Start a login of a native client."""
        body = {"provider": provider, "redirect_uri": LOOPBACK}
        return self.post("auth/oidc/logins", body, **kwargs)

    def response_to(self, started: TestResponse, **changes: str) -> dict[str, str]:
        """The body that finishes a login, with the response of the provider."""
        response = query_of(authorize(started.json["authorization_url"]))
        return {"flow": started.json["flow"], **response, **changes}

    def finish(self, body: dict[str, str], **kwargs: Any) -> TestResponse:
        """Finish a login of a native client."""
        return self.post("auth/oidc/logins/finish", body, **kwargs)

    def log_in(self, provider: str = "honest", **kwargs: Any) -> TestResponse:
        """Log in as a native client."""
        return self.finish(self.response_to(self.start(provider, status=200)), **kwargs)

    def browse(self, browser: FlaskClient, query: str = "") -> str:
        """Start a login in a browser; the URL to which the provider returns it."""
        response = browser.get(f"/api/v1/auth/oidc/honest/login{query}")
        assert response.status_code == 303, response.text
        return authorize(response.headers["Location"])


def me(client: Api, tokens: TestResponse) -> dict[str, Any]:
    """The account of a login."""
    headers = bearer(tokens.json["access_token"])
    account: dict[str, Any] = client.get("users/me", headers=headers, status=200).json
    return account


def below_origin(url: str) -> str:
    """Path and query of a URL, for a test client."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"

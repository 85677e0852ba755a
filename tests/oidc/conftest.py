"""Fixtures of the tests of OpenID Connect."""

import os
from collections.abc import Iterator

import pytest
from flask import Flask

from tests import stack_proxy
from tests.oidc.client import Client
from tests.oidc.provider import CLIENT_ID, CLIENT_SECRET, Provider, run_provider


@pytest.fixture(scope="session")
def provider_url() -> Iterator[str]:
    """The URL of the process with all providers."""
    if stack_proxy.URL:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", os.environ["STACK_PROVIDER_CERTIFICATE"])
            yield os.environ["STACK_PROVIDER_URL"]
        return
    with run_provider() as url:
        yield url


@pytest.fixture
def provider(provider_url: str) -> Provider:
    """An honest provider, until a test lets it lie."""
    return fresh(f"{provider_url}/honest")


@pytest.fixture
def another(provider_url: str) -> Provider:
    """Another provider."""
    return fresh(f"{provider_url}/another")


def fresh(url: str) -> Provider:
    found = Provider(url)
    found.control(reset=True)
    return found


def environment(**providers: Provider) -> dict[str, str]:
    """The settings of these providers."""
    values = {"OIDC_PROVIDERS": ",".join(providers)}
    for name, each in providers.items():
        prefix = f"OIDC_{name.upper()}"
        values |= {
            f"{prefix}_ISSUER": each.url,
            f"{prefix}_CLIENT_ID": CLIENT_ID,
            f"{prefix}_CLIENT_SECRET": CLIENT_SECRET,
        }
    return values


@pytest.fixture
def client(
    request: pytest.FixtureRequest, app: Flask, provider: Provider, another: Provider
) -> Client:
    """A client of an application with two providers, which the stack has in its settings."""
    if stack_proxy.URL:
        return Client(app)
    for name, value in environment(honest=provider, another=another).items():
        request.getfixturevalue("monkeypatch").setenv(name, value)
    return Client(request.getfixturevalue("make_app")(public_url="https://app.example.com"))

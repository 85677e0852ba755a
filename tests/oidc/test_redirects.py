"""Where browsers and native clients are sent, and providers that fail."""

import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.oidc import documents, http_client
from tests.oidc.client import Client
from tests.oidc.provider import Provider
from tests.oidc.test_attacks import count_all

REDIRECT_URIS = [
    "http://localhost:1/", "http://127.0.0.1/", "https://127.0.0.1:1/", "http://127.0.0.1:1@e.com/",
    "http://127.0.0.1.e.com:1/", "http://e.com:1/", "http://127.0.0.1:1\\@e.com/", "app:/callback",
    "http://127.0.0.1:1/?a=b", "http://127.0.0.1:1/#a", "//127.0.0.1:1/", "http://127.0.0.1:1/\n",
    "",    "javascript:alert(1)", "http://0x7f.1:1/", "http://[::]:1/", "http://127.0.0.1:01/",
]  # fmt: skip


def test_v10_4_1_redirect_uris_of_native_clients_are_on_loopback(
    client: Client, subtests: pytest.Subtests
) -> None:
    for uri in REDIRECT_URIS:
        with subtests.test(uri):
            body = {"provider": "honest", "redirect_uri": uri}
            problem = client.post("auth/oidc/logins", body, status=422).json
            assert problem["errors"][0]["pointer"] == "#/redirect_uri"
    body = {"provider": "honest", "redirect_uri": "http://[::1]:8080"}
    client.post("auth/oidc/logins", body, status=200)


PAGES = [
    "//e.com", "/\\e.com", "\\\\e.com", "https://e.com", "javascript:alert(1)", "e.com", "", " /a",
    "/\t/e.com", "/\n/e.com", "/a\r\nSet-Cookie: a=b", "/a b", "/\\/e.com", "/é", "/a#b",
    "/" + "a" * 500,
]  # fmt: skip


def test_v3_7_2_browser_returns_to_pages_of_this_origin_only(
    client: Client, subtests: pytest.Subtests
) -> None:
    for page in PAGES:
        with subtests.test(page):
            query = {"return_to": page}
            response = client.get("auth/oidc/honest/login", query_string=query, status=422)
            assert response.json["errors"][0]["parameter"] == "return_to"


BROKEN = {
    "closed": 502, "slow": 502, "endless": 502, "text": 502, "list": 502, "gzip": 502,
    "redirect": 502, 404: 502, 500: 503, 503: 503, "slow header": 502, "slow 1xx": 502,
    "endless header": 502, "endless 1xx": 502,
}  # fmt: skip
ONCE = ("slow", "slow header", "slow 1xx", "endless header", "endless 1xx", "redirect", 503)

STEPS = (".well-known/openid-configuration", "jwks", "token", "userinfo")


def test_v16_5_2_provider_that_fails_gives_an_error_and_leaves_nothing(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.setattr(http_client, "MAX_SECONDS", 0.5)
    for path in STEPS:
        for lie, status in BROKEN.items():
            if path != "token" and lie in ONCE:
                continue  # one transport serves all steps
            if path == "token" and lie == 404:
                status = 401  # a refusal of OAuth has this form as well
            with subtests.test(f"{path} {lie}"):
                claims = {"email": None}
                provider.lie(claims=claims)
                client.forget()
                body = None
                if path != STEPS[0]:
                    body = client.response_to(client.start(status=200))
                provider.lie(claims=claims, http={path: lie})
                failed = client.finish(body) if body else client.start()
                assert failed.status_code == status, failed.text
                assert failed.mimetype == "application/problem+json"
                assert (failed.headers.get("Retry-After") is not None) == (status == 503)
                assert count_all(client) == 0


def test_v13_2_6_silent_addresses_of_a_host_are_not_all_tried(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []
    numbers = iter([1000])  # of the addresses of the host's name; an address is its own only one
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def resolve_to_many(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        is_provider = port == urlsplit(provider.url).port
        return resolve(host, port, *args, **kwargs) * (next(numbers, 1) if is_provider else 1)

    def connect_to_none(self: socket.socket, address: Any) -> None:
        if address[1] != urlsplit(provider.url).port:
            return connect(self, address)
        tried.append(address)
        time.sleep(self.gettimeout() or 0)
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", resolve_to_many)
    monkeypatch.setattr(socket.socket, "connect", connect_to_none)
    monkeypatch.setattr(http_client, "TIMEOUT", 0.01)
    monkeypatch.setattr(http_client, "MAX_SECONDS", 0.1)
    client.start()
    assert 1 <= len(tried) <= 10


def test_v13_2_6_provider_that_has_failed_is_not_asked_again_at_once(
    client: Client, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.lie(http={STEPS[0]: 500})
    for _ in range(3):
        client.start(status=503)
    assert provider.requests(STEPS[0]) == 1
    provider.lie()
    monkeypatch.setattr(documents, "PAUSE", -1)
    client.forget()
    client.start(status=200)


def test_v9_1_3_keys_that_rotate_in_the_middle_are_fetched_once(
    client: Client, provider: Provider
) -> None:
    client.log_in(status=200)
    body = client.response_to(client.start(status=200))
    provider.control(rotate=True)
    client.finish(body, status=200)
    assert provider.requests("jwks") == 2


@pytest.mark.in_process  # each process fetches them once
def test_v9_1_3_unknown_keys_do_not_cause_a_fetch_each(client: Client, provider: Provider) -> None:
    client.log_in(status=200)
    provider.lie(alg="unknown kid")
    for _ in range(4):
        client.log_in(status=401)
    assert provider.requests("jwks") == 2

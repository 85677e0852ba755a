"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0), and logout tokens that lie."""

import time
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.auth.models import Session
from app.oidc import accounts
from app.oidc.models import ProviderSession
from tests import rows
from tests.api import Caller, bearer
from tests.oidc.client import Client
from tests.oidc.provider import CLIENT_ID, LOGOUT_EVENT, Provider

NOW = time.time()
LIES: dict[str, dict[str, Any]] = {
    "V10.5.5 another type": {"header": {"typ": "JWT"}},
    "V10.5.5 no type": {"header": {"typ": None}},
    "V10.5.5 an ID token": {"header": {"typ": "JWT"}, "claims": {"nonce": "n", "events": None}},
    "V10.5.5 no event": {"claims": {"events": None}},
    "V10.5.5 another event": {"claims": {"events": {"https://example.com/event": {}}}},
    "V10.5.5 a list of events": {"claims": {"events": [LOGOUT_EVENT]}},
    "V10.5.5 an event that is no object": {"claims": {"events": {LOGOUT_EVENT: ""}}},
    "V10.5.5 a nonce": {"claims": {"nonce": "n"}},
    "V10.5.5 a long time to expiry": {"claims": {"exp": NOW + 86400}},
    "V10.5.4 another audience": {"claims": {"aud": "another"}},
    "V10.5.4 a second audience": {"claims": {"aud": [CLIENT_ID, "another"]}},
    "V10.5.3 another issuer": {"claims": {"iss": "https://another.example.com"}},
    "V9.2.1 expired": {"claims": {"exp": NOW - 60}},
    "V9.2.1 no expiry": {"claims": {"exp": None}},
    "V9.2.1 issued in the future": {"claims": {"iat": NOW + 86_400}},
    "V9.2.1 no time of issue": {"claims": {"iat": None}},
    "V9.1.1 signed by another key": {"alg": "another key"},
    "V9.1.1 signed by an unknown key": {"alg": "unknown kid"},
    "V9.1.2 not signed": {"alg": "none"},
    "V9.1.2 signed with the public key as a secret": {"alg": "HS256"},
    "no identifier": {"claims": {"jti": None}},
    "a number as identifier": {"claims": {"jti": 1}},
    "neither user nor session": {"claims": {"sub": None, "sid": None}},
    "a number as user": {"claims": {"sub": 1}},
    "an object as session": {"claims": {"sid": {}}},
    "an empty session": {"claims": {"sid": ""}},
}


def log_out(client: Client, token: str, status: int, provider: str = "honest") -> TestResponse:
    path = f"auth/oidc/{provider}/backchannel-logout"
    return client.call("POST", path, data={"logout_token": token}, status=status)


def session(client: Client, status: int, tokens: TestResponse) -> None:
    """Check whether the session of a login is valid."""
    client.get("users/me", headers=bearer(tokens.json["access_token"]), status=status)


def test_v10_5_5_logout_tokens_that_lie_are_refused(
    client: Client, provider: Provider, subtests: pytest.Subtests
) -> None:
    tokens = client.log_in(status=200)
    for name, lies in LIES.items():
        with subtests.test(name):
            provider.lie(**lies)
            token = provider.logout_token(sub="honest-1", sid="honest-s1")
            problem = log_out(client, token, status=400)
            assert problem.mimetype == "application/problem+json"
            session(client, 200, tokens)


@pytest.mark.parametrize(
    "claims", [{"sub": "honest-1"}, {"sid": "honest-s1"}, {"sub": "honest-1", "sid": "honest-s1"}]
)
def test_logout_by_the_provider_ends_sessions_that_began_there(
    client: Client, provider: Provider, user: Caller, claims: dict[str, str]
) -> None:
    tokens = client.log_in(status=200)
    response = log_out(client, provider.logout_token(**claims), status=200)
    assert response.headers["Cache-Control"] == "no-store"
    session(client, 401, tokens)
    client.post("auth/refresh", {"refresh_token": tokens.json["refresh_token"]}, status=401)
    client.get("users/me", by=user, status=200)
    assert rows.count(client.app, ProviderSession) == 0


def test_logout_ends_no_session_of_another_user_session_or_provider(
    client: Client, provider: Provider, another: Provider
) -> None:
    tokens = client.log_in(status=200)
    log_out(client, provider.logout_token(sub="honest-2"), status=200)
    log_out(client, provider.logout_token(sub="honest-1", sid="another"), status=200)
    log_out(client, provider.logout_token(sub="honest-2", sid="honest-s1"), status=200)
    log_out(client, another.logout_token(sub="honest-1"), status=200, provider="another")
    log_out(client, another.logout_token(sub="honest-1"), status=400)
    log_out(client, provider.logout_token(sub="honest-1"), status=404, provider="unknown")
    session(client, 200, tokens)


def test_v10_5_5_logout_token_is_accepted_once_also_in_parallel(
    client: Client, provider: Provider
) -> None:
    client.log_in(status=200)
    token = provider.logout_token(sub="honest-1")
    path = "auth/oidc/honest/backchannel-logout"
    calls = [lambda: client.call("POST", path, data={"logout_token": token})] * 4
    assert sorted(a.status_code for a in rows.in_parallel(*calls)) == [200, 400, 400, 400]
    tokens = client.log_in(status=200)
    log_out(client, token, status=400)
    session(client, 200, tokens)


def test_logout_ends_sessions_that_a_second_factor_has_opened(
    client: Client, provider: Provider
) -> None:
    """Another route opens them, which does not know the session of the provider."""
    tokens = client.log_in(status=200)
    rows.remove(client.app, ProviderSession)
    assert rows.read(client.app, Session.methods) == [[accounts.METHOD]]
    log_out(client, provider.logout_token(sub="honest-1", sid="honest-s1"), status=200)
    session(client, 401, tokens)


def test_logout_without_one_token_in_a_form_is_refused(client: Client, provider: Provider) -> None:
    path = "auth/oidc/honest/backchannel-logout"
    token = provider.logout_token(sub="honest-1")
    client.call("POST", path, status=400)
    client.call("POST", path, json={"logout_token": token}, status=400)
    client.call("POST", path, data={"logout_token": [token, token]}, status=400)
    client.call("POST", path, data={"logout_token": "é.\0.x"}, status=400)
    client.call("POST", path, query_string={"logout_token": token}, status=400)


def test_logout_with_rotated_keys_is_accepted(client: Client, provider: Provider) -> None:
    client.log_in(status=200)
    provider.control(rotate=True)
    log_out(client, provider.logout_token(sub="honest-1"), status=200)
    assert rows.count(client.app, Session) == 0

"""Logins with a provider: who gets a session, who is registered, and which accounts are linked."""

from collections.abc import Callable
from typing import Any

import pytest

from app.audit.models import AuditEvent
from app.auth.models import Session
from app.auth.second_factors import second_factor_due
from app.core.database.types import now
from app.oidc.models import Identity
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Caller
from tests.oidc.client import CALLBACK, Client, below_origin, me, query_of
from tests.oidc.provider import Provider

EMAIL = "ada@example.com"


def set_user(client: Client, caller: Caller, **values: Any) -> None:
    rows.change(client.app, User, caller.id, **values)


def test_first_login_registers_a_user_with_a_verified_address(client: Client) -> None:
    account = me(client, client.log_in(status=200))
    assert (account["email"], account["name"]) == (EMAIL, "Ada Lovelace")
    assert account["email_verified_at"]
    assert account["role"] == "user"
    # begin audit
    recorded = rows.read(client.app, AuditEvent.resource, action="create")
    assert sorted(recorded) == ["oidc_identities", "sessions", "users"]
    # end audit


def test_second_login_is_the_same_user_whatever_the_address_is(
    client: Client, provider: Provider
) -> None:
    first = me(client, client.log_in(status=200))
    provider.user(email="other@example.com", email_verified=False)
    assert me(client, client.log_in(status=200))["id"] == first["id"]


NAMES = {"": "ada", "\u200b": "ada", 1: "ada", None: "ada", "x" * 200: "x" * 100, "a\0b": "ada"}


def test_new_user_is_named_as_the_provider_says_or_after_the_address(
    client: Client, provider: Provider, subtests: pytest.Subtests
) -> None:
    for number, (sent, stored) in enumerate(NAMES.items()):
        with subtests.test(repr(sent)):
            provider.user(sub=f"user-{number}", name=sent, email=f"ada@{number}.example.com")
            assert me(client, client.log_in(status=200))["name"] == stored


def test_user_without_a_password_cannot_log_in_with_one(client: Client) -> None:
    client.log_in(status=200)
    for password in ("", "!", "dummy password", "None"):
        client.post("auth/login", {"email": EMAIL, "password": password}, status=401)


UNVERIFIED: dict[str, dict[str, Any]] = {
    "not verified": {"email_verified": False},
    "a text": {"email_verified": "true"},
    "a number": {"email_verified": 1},
    "not said": {"email_verified": None},
    "no address": {"email": None},
    "an address that is none": {"email": "ada@"},
    "an object": {"email": {"address": EMAIL}},
    "U+0000": {"email": "ada\0@example.com"},
}


def test_v10_5_2_address_that_the_provider_has_not_verified_is_not_used(
    client: Client, provider: Provider, user: Caller, subtests: pytest.Subtests
) -> None:
    set_user(client, user, email=EMAIL, email_verified_at=now())
    for name, claims in UNVERIFIED.items():
        with subtests.test(name):
            provider.lie(claims=claims, userinfo={"sub": "honest-1"})
            client.log_in(status=403)
            assert rows.count(client.app, Identity) == 0
            assert rows.count(client.app, User) == 1


def test_address_that_only_the_user_info_has_is_used(client: Client, provider: Provider) -> None:
    provider.lie(claims={"email": None, "email_verified": None})
    assert me(client, client.log_in(status=200))["email"] == EMAIL


def test_account_with_the_same_verified_address_is_linked(
    client: Client, provider: Provider, user: Caller
) -> None:
    set_user(client, user, email=EMAIL, email_verified_at=now())
    provider.user(email="ADA@Example.com")
    assert me(client, client.log_in(status=200))["id"] == str(user.id)
    assert rows.read(client.app, Identity.owner_id) == [user.id]


def test_account_that_has_not_verified_the_address_is_not_linked(
    client: Client, user: Caller
) -> None:
    set_user(client, user, email=EMAIL)
    client.log_in(status=409)
    assert rows.count(client.app, Identity) == 0


def test_disabled_account_cannot_log_in(client: Client, admin: Caller) -> None:
    account = me(client, client.log_in(status=200))
    client.patch(f"users/{account['id']}", {"is_active": False}, by=admin, status=200)
    client.log_in(status=401)
    rows.remove(client.app, Identity)
    client.log_in(status=401)
    assert rows.count(client.app, Identity) == 0


def test_parallel_first_logins_register_one_user(client: Client) -> None:
    bodies = [client.response_to(client.start(status=200)) for _ in range(4)]
    answers = rows.in_parallel(*[lambda body=body: client.finish(body) for body in bodies])
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert rows.count(client.app, User) == rows.count(client.app, Identity) == 1


def demands_totp(_: Any, methods: tuple[str, ...]) -> list[str]:
    return ["totp"]


@pytest.mark.in_process
def test_second_factor_is_due_after_a_login_with_a_provider(client: Client) -> None:
    with second_factor_due.connected_to(demands_totp):
        problem = client.log_in(status=401).json
        assert problem["type"].endswith("/second-factor-required")
        browser = client.client()
        response = browser.get(below_origin(client.browse(browser, "?return_to=/a")))
    assert response.headers["Location"].startswith("/a#mfa_token=")
    assert response.headers["Location"].endswith("&methods=totp")
    assert browser.get_cookie("__Host-access_token") is None
    assert rows.count(client.app, Session) == 0


def test_browser_ends_with_cookies_on_the_page_that_it_came_from(client: Client) -> None:
    browser = client.client()
    target = client.browse(browser, "?return_to=/account")
    assert target.startswith(f"https://app.example.com{CALLBACK}?")
    response = browser.get(below_origin(target))
    assert (response.status_code, response.headers["Location"]) == (303, "/account")
    assert response.headers["Cache-Control"] == "no-store"
    assert browser.get("/api/v1/users/me").json["email"] == EMAIL
    assert browser.get_cookie("__Host-oidc_flow") is None


def test_cookie_of_a_flow_is_for_this_host_and_http_only(client: Client) -> None:
    response = client.get("auth/oidc/honest/login", status=303)
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-oidc_flow=")
    flags = {part.strip() for part in cookie.split(";")[1:]}
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=600"} <= flags


def test_browser_flow_needs_cookies_and_a_known_provider(
    client: Client, make_app: Callable[..., Any]
) -> None:
    client.get("auth/oidc/unknown/login", status=404)
    client.start("unknown", status=422)
    without = Client(make_app(auth_cookies=False))
    without.get("auth/oidc/honest/login", status=404)
    without.get("auth/oidc/honest/callback", status=404)


def test_tokens_of_the_provider_are_not_in_the_response(client: Client) -> None:
    """V10.1.1: they are sent to nobody."""
    tokens = client.log_in(status=200)
    assert tokens.json.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    url = client.start(status=200).json["authorization_url"]
    assert "code_verifier" not in query_of(url)
    assert PASSWORD not in tokens.text

"""Logins with a provider: who gets a session, who is registered, and which accounts are linked."""

from werkzeug.test import TestResponse

from tests.api import bearer
from tests.oidc.client import CALLBACK, Client, below_origin
from tests.oidc.provider import Provider

EMAIL = "ada@example.com"


def me(client: Client, tokens: TestResponse) -> dict:
    return client.get("users/me", headers=bearer(tokens.json["access_token"]), status=200).json


def test_first_login_registers_a_user_with_a_verified_address(client: Client) -> None:
    account = me(client, client.log_in(status=200))
    assert (account["email"], account["name"]) == (EMAIL, "Ada Lovelace")
    assert account["email_verified_at"]
    assert account["role"] == "user"


def test_second_login_is_the_same_user_whatever_the_address_is(
    client: Client, provider: Provider
) -> None:
    first = me(client, client.log_in(status=200))
    provider.user(email="other@example.com", email_verified=False)
    assert me(client, client.log_in(status=200))["id"] == first["id"]


def test_browser_ends_with_cookies_on_the_page_that_it_came_from(client: Client) -> None:
    browser = client.client()
    target = client.browse(browser, "?return_to=/account")
    assert target.startswith(f"https://app.example.com{CALLBACK}?")
    response = browser.get(below_origin(target))
    assert (response.status_code, response.headers["Location"]) == (303, "/account")
    assert browser.get("/api/v1/users/me").json["email"] == EMAIL
    assert browser.get_cookie("__Host-oidc_flow") is None

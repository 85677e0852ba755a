"""Logins and denied requests are logged by name, on every way in (OWASP ASVS 16.3.1, 16.3.2)."""

import io
from contextlib import redirect_stdout
from typing import Any

import pytest

from app.auth.cookies import CSRF_COOKIE, CSRF_HEADER
from tests.api import Api, Caller, bearer
from tests.auth.login import log_in, refresh
from tests.auth.test_cookies import Browser
from tests.conftest import Lines, MakeApp


@pytest.fixture
def api(logged: Api) -> Api:
    """The application whose log `lines` reads."""
    return logged


FORGED_KEY = "key_" + "A" * 64


def events(lines: Lines) -> list[dict[str, Any]]:
    """The lines, except those of requests and of the mails to the owner."""
    return [line for line in lines() if line["event"] not in ("request", "mail", "job_finished")]


def test_logins_are_logged_on_every_way_in(api: Api, user: Caller, lines: Lines) -> None:
    lines()
    tokens = log_in(api, user.email, status=200)
    refresh(api, tokens, status=200)
    body = {"name": "n", "scopes": ["parcels:own"]}
    key = api.post("auth/api-keys", body, by=user, status=201).json
    api.get("parcels", headers=bearer(key["secret"]), status=200)
    found = events(lines)
    names = ["login_succeeded", "token_refreshed", "owner_notified", "api_key_accepted"]
    assert [event["event"] for event in found] == names
    assert {event["user_id"] for event in found} == {str(user.id)}
    assert key["secret"] not in str(found)


def test_failed_authentication_is_logged_on_every_way_in(
    api: Api, user: Caller, lines: Lines
) -> None:
    ended = api.sign_in(user)
    api.post("auth/logout", by=ended, status=204)
    lines()
    secrets = [FORGED_KEY, "not.a.token", ended.headers["Authorization"].partition(" ")[2]]
    for secret in secrets:
        api.get("parcels", headers=bearer(secret), status=401)
    api.get("parcels", status=401)
    log_in(api, user.email, "not the password", status=401)
    refresh(api, "forged", status=401)
    api.post("auth/email/verify", {"token": "forged-token"}, status=401)
    new = {"token": "forged-token", "new_password": "a wholly unguessed phrase"}
    api.post("auth/password/reset", new, status=401)
    change = {"current_password": "not the password", "new_password": new["new_password"]}
    api.put("users/me/password", change, by=user, status=422)
    found = [event for event in events(lines) if event["event"] == "authentication_failed"]
    assert [event["route"].removeprefix("/api/v1/") for event in found] == [
        *["parcels"] * 4, "auth/login", "auth/refresh", "auth/email/verify", "auth/password/reset",
        "users/me/password",
    ]  # fmt: skip
    assert {event["ip_address"] for event in found} == {"127.0.0.1"}
    assert all(event["reason"] and event["request_id"] for event in found)
    assert not [
        secret for secret in [*secrets, "forged", "not the password"] if secret in str(found)
    ]


def test_denied_authorization_is_logged_with_its_caller(
    api: Api, user: Caller, lines: Lines
) -> None:
    body = {"name": "n", "scopes": ["parcels:own"]}
    key = api.post("auth/api-keys", body, by=user, status=201).json
    lines()
    api.get("users", by=user, status=403)
    api.get("users/me", headers=bearer(key["secret"]), status=403)
    found = [event for event in events(lines) if event["event"] == "authorization_denied"]
    assert [event["caller"] for event in found] == [f"user:{user.id}", f"key:{key['id']}"]
    assert [event["method"] for event in found] == ["GET", "GET"]


@pytest.mark.parametrize("path", ["auth/cookies/refresh", "auth/logout"])
def test_request_with_cookies_and_without_csrf_token_is_logged(
    make_app: MakeApp, output: io.StringIO, user: Caller, lines: Lines, path: str
) -> None:
    with redirect_stdout(output):
        browser = Browser(make_app(log_level="INFO", auth_cookies=True))
    browser.log_in(user.email, status=200)
    lines()
    browser.post(path, headers={CSRF_HEADER: ""}, status=403)
    (denied,) = events(lines)
    assert denied["event"] == "authorization_denied"
    assert CSRF_HEADER in denied["reason"]
    assert browser.kept.get_cookie(CSRF_COOKIE).value not in str(denied)

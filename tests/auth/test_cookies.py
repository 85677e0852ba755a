"""Logins with cookies."""

from datetime import timedelta
from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.auth.cookies import ACCESS_COOKIE, CSRF_COOKIE, CSRF_HEADER, REFRESH_COOKIE
from app.auth.models import Session
from app.core.database.types import now
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Api, Caller, bearer
from tests.conftest import MakeApp
from tests.contract.document import document_of


class Browser(Api):
    """Stores cookies, and sends the CSRF token with each request."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app)
        self.kept = app.test_client()

    def client(self) -> FlaskClient:
        return self.kept

    def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> TestResponse:
        """Send a request with the cookies; an empty `X-CSRF-Token` is not sent."""
        csrf = self.kept.get_cookie(CSRF_COOKIE)
        sent = ({CSRF_HEADER: csrf.value} if csrf else {}) | (headers or {})
        sent = {name: value for name, value in sent.items() if value}
        return super().call(method, path, headers=sent, **kwargs)

    def log_in(self, email: str, **kwargs: Any) -> TestResponse:
        return self.post("auth/cookies", {"email": email, "password": PASSWORD}, **kwargs)

    def has(self, name: str) -> bool:
        path = "/api/v1/auth" if name == REFRESH_COOKIE else "/"
        return self.kept.get_cookie(name, path=path) is not None


@pytest.fixture
def browser(app: Flask, user: Caller) -> Browser:
    """A browser with a session of `user`."""
    browser = Browser(app)
    browser.log_in(user.email, status=200)
    return browser


def set_by(response: TestResponse) -> dict[str, Morsel[str]]:
    cookies: dict[str, Morsel[str]] = {}
    for line in response.headers.getlist("Set-Cookie"):
        cookies |= SimpleCookie(line)
    return cookies


def test_cookie_login_sets_cookies_and_returns_no_token(app: Flask, user: Caller) -> None:
    answer = Browser(app).log_in(user.email, status=200)
    cookies = set_by(answer)
    assert cookies.keys() == {ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE}
    assert answer.json == {"expires_in": 600, "csrf_token": cookies[CSRF_COOKIE].value}
    assert answer.headers["Cache-Control"] == "no-store"


def test_cookies_are_secure_http_only_and_same_site(app: Flask, user: Caller) -> None:
    cookies = set_by(Browser(app).log_in(user.email, status=200))
    for cookie in cookies.values():
        assert (cookie["secure"], cookie["samesite"]) == (True, "Strict")
        assert cookie["domain"] == cookie["max-age"] == cookie["expires"] == ""
    assert [cookies[name]["httponly"] for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE)] == [
        True,
        True,
        "",
    ]
    assert [cookies[name]["path"] for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE)] == [
        "/", "/api/v1/auth", "/",
    ]  # fmt: skip


def test_failed_cookie_login_sets_no_cookies(app: Flask, user: Caller) -> None:
    account = {"email": user.email, "password": "not the password"}
    answer = Browser(app).post("auth/cookies", account, status=401)
    assert set_by(answer) == {}
    assert answer.json["detail"] == Api(app).post("auth/login", account).json["detail"]


def test_cookie_login_replaces_cookies_of_an_ended_session(
    app: Flask, browser: Browser, user: Caller
) -> None:
    rows.remove(app, Session, owner_id=user.id)
    browser.get("users/me", status=401)
    browser.log_in(user.email, headers={"X-CSRF-Token": ""}, status=200)
    browser.get("users/me", status=200)


def test_cookie_login_ends_the_session_of_the_cookies_that_it_replaces(
    app: Flask, browser: Browser, user: Caller
) -> None:
    stolen = browser.kept.get_cookie(ACCESS_COOKIE).value
    browser.log_in(user.email, status=200)
    browser.get("users/me", status=200)
    assert rows.count(app, Session, owner_id=user.id) == 2  # with that of the fixture
    browser.kept.set_cookie(ACCESS_COOKIE, stolen)
    browser.get("users/me", status=401)


def test_request_with_cookies_is_authenticated(browser: Browser, user: Caller) -> None:
    assert browser.get("users/me", status=200).json["id"] == str(user.id)
    note = browser.post("notes", {"text": "By cookie"}, status=201)
    browser.delete(f"notes/{note.json['id']}", status=204)


@pytest.mark.parametrize("csrf", ["", "x", "ключ".encode().decode("latin-1")])
@pytest.mark.parametrize(
    "call", [("POST", "notes"), ("DELETE", "users/me"), ("PUT", "users/me/password")]
)
def test_unsafe_request_with_cookies_needs_the_csrf_token(
    app: Flask, browser: Browser, call: tuple[str, str], csrf: str
) -> None:
    headers = {"X-CSRF-Token": csrf, "If-Match": "*"}
    refused = browser.call(*call, json={"text": "Forged"}, headers=headers, status=403)
    assert refused.json["type"] == "/problems/forbidden"
    assert "X-CSRF-Token" in refused.json["detail"]
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert rows.count(app, User) == 1


def test_registration_ignores_cookies(app: Flask, browser: Browser) -> None:
    account = {"email": "new@example.com", "name": "New", "password": PASSWORD}
    browser.post("users", account, headers={"X-CSRF-Token": ""}, status=201)


def test_csrf_token_of_another_session_is_refused(
    app: Flask, browser: Browser, user: Caller
) -> None:
    """Another host of the domain could set a cookie of another session."""
    elsewhere = Browser(app).log_in(user.email, status=200).json["csrf_token"]
    headers = {"X-CSRF-Token": elsewhere}
    browser.post("notes", {"text": "Forged"}, headers=headers, status=403)


def test_safe_request_with_cookies_needs_no_csrf_token(browser: Browser) -> None:
    for method in ("GET", "HEAD"):
        browser.call(method, "users/me", headers={"X-CSRF-Token": ""}, status=200)


@pytest.mark.parametrize("path", ["users/me", "articles"])
def test_cookie_and_bearer_token_together_are_400(
    browser: Browser, user: Caller, path: str
) -> None:
    for headers in (user.headers, bearer("x"), bearer("key_x"), {"Authorization": "bearer"}):
        refused = browser.get(path, headers=headers, status=400)
        challenge = refused.headers["WWW-Authenticate"]
        assert challenge == 'Bearer realm="api", error="invalid_request"'


@pytest.mark.parametrize("path", ["users/me", "notes"])
def test_invalid_access_cookie_is_401_with_invalid_token(app: Flask, path: str) -> None:
    browser = Browser(app)
    browser.kept.set_cookie(ACCESS_COOKIE, "x.y.z")
    bad = browser.get(path, status=401)
    assert bad.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


@pytest.mark.parametrize("name", ["access_token", "access_token_cookie", "__host-access_token"])
def test_cookie_of_another_name_is_ignored(app: Flask, user: Caller, name: str) -> None:
    browser = Browser(app)
    browser.kept.set_cookie(name, user.headers["Authorization"].split()[1])
    refused = browser.get("users/me", status=401)
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_responses_vary_by_cookie(browser: Browser, api: Api) -> None:
    for answer in (browser.get("articles"), api.get("articles")):
        assert {"authorization", "cookie"} <= {name.lower() for name in answer.vary}
    assert "private" in browser.get("articles").headers["Cache-Control"]


def test_cookie_refresh_sets_new_cookies_and_keeps_the_csrf_token(browser: Browser) -> None:
    before = {name: browser.kept.get_cookie(name) for name in (ACCESS_COOKIE, CSRF_COOKIE)}
    answer = browser.post("auth/cookies/refresh", status=200)
    assert set_by(answer).keys() == {ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE}
    assert browser.kept.get_cookie(ACCESS_COOKIE) != before[ACCESS_COOKIE]
    assert (
        browser.kept.get_cookie(CSRF_COOKIE).value == before[CSRF_COOKIE].value
    )  # other tabs have it
    browser.get("users/me", status=200)


def test_cookie_refresh_works_with_an_invalid_access_cookie(browser: Browser) -> None:
    browser.kept.set_cookie(ACCESS_COOKIE, "x.y.z")
    browser.get("users/me", status=401)
    browser.post("auth/cookies/refresh", status=200)
    browser.get("users/me", status=200)


@pytest.mark.parametrize("csrf", ["", "x"])
def test_cookie_refresh_needs_the_csrf_token(browser: Browser, csrf: str) -> None:
    browser.post("auth/cookies/refresh", headers={"X-CSRF-Token": csrf}, status=403)
    browser.post("auth/cookies/refresh", status=200)


def test_cookie_refresh_without_the_cookie_is_401(app: Flask) -> None:
    Browser(app).post("auth/cookies/refresh", status=401)


def test_cookie_refresh_of_an_ended_session_clears_the_cookies(
    app: Flask, browser: Browser, user: Caller
) -> None:
    rows.remove(app, Session, owner_id=user.id)
    browser.post("auth/cookies/refresh", status=401)
    assert not any(browser.has(name) for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE))
    browser.get("articles", status=200)


def test_reused_refresh_cookie_ends_the_session(app: Flask, browser: Browser, user: Caller) -> None:
    stolen = browser.kept.get_cookie(REFRESH_COOKIE, path="/api/v1/auth").value
    browser.post("auth/cookies/refresh", status=200)
    for session_id in rows.read(app, Session.id, owner_id=user.id):
        rows.change(app, Session, session_id, last_used_at=now() - timedelta(minutes=1))
    browser.kept.set_cookie(REFRESH_COOKIE, stolen, path="/api/v1/auth")
    browser.post("auth/cookies/refresh", status=401)
    assert rows.count(app, Session, owner_id=user.id) == 1  # of the fixture


def test_cookie_logout_ends_the_session_and_clears_the_cookies(browser: Browser) -> None:
    stolen = browser.kept.get_cookie(ACCESS_COOKIE).value
    response = browser.post("auth/logout", status=204)
    assert response.headers["Clear-Site-Data"] == '"cache"'
    assert not any(browser.has(name) for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE))
    browser.get("users/me", status=401)
    browser.kept.set_cookie(ACCESS_COOKIE, stolen)
    browser.get("users/me", status=401)


def test_cookie_logout_needs_the_csrf_token(browser: Browser) -> None:
    browser.post("auth/logout", headers={"X-CSRF-Token": ""}, status=403)
    browser.get("users/me", status=200)


def test_logout_with_a_bearer_token_sets_no_cookies(api: Api, user: Caller) -> None:
    assert set_by(api.post("auth/logout", by=user, status=204)) == {}


def test_openapi_names_the_cookies_and_the_csrf_header(app: Flask) -> None:
    schemes = document_of(app)["components"]["securitySchemes"]
    assert (schemes["cookie"]["in"], schemes["cookie"]["name"]) == ("cookie", ACCESS_COOKIE)
    assert (schemes["csrf"]["in"], schemes["csrf"]["name"]) == ("header", CSRF_HEADER)
    assert CSRF_COOKIE in schemes["csrf"]["description"]


class TestCookiesDisabled:
    @pytest.fixture
    def plain(self, make_app: MakeApp) -> Flask:
        return make_app(auth_cookies=False)

    def test_cookie_routes_are_404_when_cookies_are_disabled(
        self, plain: Flask, user: Caller
    ) -> None:
        browser = Browser(plain)
        assert set_by(browser.log_in(user.email, status=404)) == {}
        browser.post("auth/cookies/refresh", status=404)

    def test_cookies_are_ignored_when_cookies_are_disabled(
        self, plain: Flask, user: Caller
    ) -> None:
        browser = Browser(plain)
        browser.kept.set_cookie(ACCESS_COOKIE, user.headers["Authorization"].split()[1])
        browser.get("users/me", status=401)
        browser.get("users/me", by=user, status=200)
        assert "Cookie" not in browser.get("articles", status=200).vary

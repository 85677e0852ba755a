"""Cookies whose credentials are not valid any more: a browser cannot leave them out."""

from collections.abc import Callable

import pytest
from flask import Flask

from app.auth.cookies import ACCESS_COOKIE, CSRF_COOKIE, REFRESH_COOKIE
from app.auth.models import Session
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from tests import rows
from tests.api import Api, Caller
from tests.auth.test_cookies import Browser
from tests.conftest import Counter, MakeApp

Kill = Callable[[Flask, Browser, Caller], object]
DEAD: dict[str, Kill] = {
    "not a token": lambda app, browser, user: browser.kept.set_cookie(ACCESS_COOKIE, "dead"),
    "empty": lambda app, browser, user: browser.kept.set_cookie(ACCESS_COOKIE, ""),
    "ended session": lambda app, browser, user: rows.remove(app, Session, owner_id=user.id),
    "disabled user": lambda app, browser, user: Api(app).patch(
        f"users/{user.id}", {"is_active": False}, by=Api(app).sign_up("admin"), status=200
    ),
}
every_death = pytest.mark.parametrize("kill", DEAD.values(), ids=DEAD)


@pytest.fixture
def browser(app: Flask, user: Caller) -> Browser:
    """A browser with a session of `user`."""
    browser = Browser(app)
    browser.log_in(user.email, status=200)
    return browser


def has_cookies(browser: Browser) -> bool:
    return any(browser.has(name) for name in (ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE))


@every_death
@pytest.mark.parametrize("csrf", [{}, {"X-CSRF-Token": ""}], ids=["with csrf", "without csrf"])
def test_logout_with_dead_cookies_clears_them(
    app: Flask, browser: Browser, user: Caller, kill: Kill, csrf: dict[str, str]
) -> None:
    kill(app, browser, user)
    if kill is DEAD["ended session"] or kill is DEAD["disabled user"]:
        csrf = {}  # the access token is intact, so it needs the CSRF token
    browser.post("auth/logout", headers=csrf, status=204)
    assert not has_cookies(browser)


@pytest.mark.parametrize("access", ["dead", None])
def test_logout_without_a_valid_access_cookie_ends_the_session_of_the_refresh_cookie(
    app: Flask, browser: Browser, user: Caller, access: str | None
) -> None:
    before = rows.count(app, Session, owner_id=user.id)
    if access:
        browser.kept.set_cookie(ACCESS_COOKIE, access)
    else:
        browser.kept.delete_cookie(ACCESS_COOKIE)
    browser.post("auth/logout", status=204)
    assert not has_cookies(browser)
    assert rows.count(app, Session, owner_id=user.id) == before - 1


def test_logout_without_the_csrf_token_ends_no_session(
    app: Flask, browser: Browser, user: Caller
) -> None:
    before = rows.count(app, Session, owner_id=user.id)
    browser.kept.set_cookie(ACCESS_COOKIE, "dead")
    browser.post("auth/logout", headers={"X-CSRF-Token": ""}, status=204)
    assert rows.count(app, Session, owner_id=user.id) == before


def test_logout_without_any_credentials_is_401(api: Api) -> None:
    api.post("auth/logout", status=401)
    api.post("auth/logout", headers={"Authorization": "Bearer dead"}, status=401)


@every_death
@pytest.mark.parametrize("path", ["articles", "articles?limit=1&x=1", "/.well-known/jwks.json"])
def test_public_read_with_dead_cookies_is_that_of_an_anonymous_caller(
    app: Flask, browser: Browser, user: Caller, kill: Kill, path: str
) -> None:
    kill(app, browser, user)
    for method in ("GET", "HEAD"):
        anonymous = Api(app).call(method, path)
        dead = browser.call(method, path, status=anonymous.status_code)
        assert dead.mimetype == anonymous.mimetype
        for name in ("Cache-Control", "ETag", "Vary"):
            assert dead.headers.get(name) == anonymous.headers.get(name)
    assert dead.status_code in (200, 422)
    browser.get("notes", status=401)


@every_death
def test_public_write_with_dead_cookies_is_that_of_an_anonymous_caller(
    app: Flask, make_app: MakeApp, user: Caller, kill: Kill
) -> None:
    from app.auth.schemas import EmailAddressSchema

    shapes = Blueprint("shapes", __name__, url_prefix="/shapes", description="Shapes.")

    @shapes.post("", access=public)
    @shapes.body(EmailAddressSchema)
    @shapes.response(200, EmailAddressSchema)
    def echo(data: dict[str, str]) -> dict[str, str]:
        """Return the body."""
        return data

    browser = Browser(make_app(shapes))
    browser.log_in(user.email, status=200)
    kill(app, browser, user)
    body = {"email": "ada@example.com"}
    assert browser.post("shapes", body, status=200).json == body


def test_public_read_with_live_cookies_needs_no_further_statement(
    browser: Browser, queries: Counter
) -> None:
    article = {
        "sku": "MUG-1",
        "name": "Mug",
        "category": "kitchen",
        "price": "1",
        "currency": "EUR",
    }
    api = Api(browser.app)
    api.post("articles", article, by=api.sign_up("editor"), status=201)
    with queries() as sent:
        browser.get("articles", status=200)
    assert len(sent) == 1

"""Cookies in Chromium: pages of the own origin can use them, scripts and other sites cannot."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.browser import Browser, chromium
from tests.live import Live, serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium"),
]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    settings = {"CACHE_DIR": str(folder), "AUTH_COOKIES": "true"}
    with serve(f"sqlite:///{folder}/live.db", **settings) as service:
        yield service


@pytest.fixture
def page(live: Live, tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "profile") as browser:
        browser.call("Page.setBypassCSP", enabled=True)  # the response stands for a page
        browser.call("Page.navigate", url=f"{live.url}/health/live")
        browser.wait("location.pathname == '/health/live' && document.readyState == 'complete'")
        yield browser


def fetch(page: Browser, method: str, path: str, body: Any = None, csrf: str = "") -> int:
    """The status of a request from a script of the page."""
    headers = {"Content-Type": "application/json"} | ({"X-CSRF-Token": csrf} if csrf else {})
    options = {"method": method, "headers": headers}
    if body is not None:
        options["body"] = json.dumps(body)
    call = f"fetch('/api/v1/{path}', {json.dumps(options)})"
    page.run(f"answered = 0, void {call}.then(answer => answered = answer.status)")
    return page.wait("answered")


def test_page_of_the_own_origin_logs_in_and_out_and_sees_no_token(page: Browser) -> None:
    account = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
    assert fetch(page, "GET", "users/me") == 401

    assert fetch(page, "POST", "auth/cookies", account) == 200
    name, _, csrf = page.run("document.cookie").partition("=")
    assert (name, len(csrf)) == ("__Host-csrf_token", 64)  # the only readable cookie

    assert fetch(page, "GET", "users/me") == 200
    assert fetch(page, "POST", "notes", {"text": "Forged"}) == 403
    assert fetch(page, "POST", "notes", {"text": "By cookie"}, csrf) == 201
    assert fetch(page, "POST", "auth/cookies/refresh", csrf=csrf) == 200
    assert fetch(page, "GET", "users/me") == 200

    assert fetch(page, "POST", "auth/logout", csrf=csrf) == 204
    assert page.run("document.cookie") == ""
    assert fetch(page, "GET", "users/me") == 401


def test_page_of_another_site_cannot_use_the_cookies(live: Live, page: Browser) -> None:
    """A cross-site form needs no CORS permission, and is sent without cookies."""
    account = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
    assert fetch(page, "POST", "auth/cookies", account) == 200

    elsewhere = live.url.replace("127.0.0.1", "localhost")  # another site to a browser
    page.call("Page.navigate", url=f"{elsewhere}/health/live")  # stands for one of the attacker
    page.wait("location.hostname == 'localhost' && document.readyState == 'complete'")
    target = f"{live.url}/api/v1/auth/logout"
    page.run(
        f"form = document.createElement('form'), form.method = 'post', form.action = '{target}',"
        "document.body.append(form)"
    )
    page.run("form.submit()")
    page.wait("location.pathname == '/api/v1/auth/logout' && document.readyState == 'complete'")
    assert "/problems/unauthorized" in page.text("body")  # sent without cookies

    page.call("Page.navigate", url=f"{live.url}/health/live")
    page.wait("location.pathname == '/health/live' && document.readyState == 'complete'")
    assert fetch(page, "GET", "users/me") == 200

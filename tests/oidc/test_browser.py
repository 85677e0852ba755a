"""The flow of a browser in Chromium, with cookies. The provider is another site to the browser."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Browser, chromium
from tests.live import Live, serve
from tests.oidc.conftest import environment
from tests.oidc.provider import Provider

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium"),
]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def live(tmp_path: Path, provider: Provider, another: Provider) -> Iterator[Live]:
    """A service at http://localhost, which is in the redirect URI."""
    port = free_port()
    settings = {
        "BIND": f"127.0.0.1:{port}",
        "PUBLIC_URL": f"http://localhost:{port}",
        "CACHE_DIR": str(tmp_path),
        "AUTH_COOKIES": "true",
        **environment(honest=provider, another=another),
    }
    with serve(f"sqlite:///{tmp_path}/live.db", **settings) as service:
        yield service


def fetch(page: Browser, method: str, path: str, body: Any = None, csrf: str = "") -> dict:
    """Status and body of a request from a script of the page."""
    headers = {"Content-Type": "application/json"} | ({"X-CSRF-Token": csrf} if csrf else {})
    options: dict[str, Any] = {"method": method, "headers": headers}
    if body is not None:
        options["body"] = json.dumps(body)
    call = f"fetch('/api/v1/{path}', {json.dumps(options)})"
    read = "async answer => answered = {status: answer.status, body: await answer.text()}"
    page.run(f"answered = 0, void {call}.then({read})")
    answer: dict = json.loads(page.wait("answered && JSON.stringify(answered)"))
    return answer | {"body": json.loads(answer["body"] or "{}")}


def wait_for(page: Browser, path: str) -> None:
    page.wait(f"location.pathname == '{path}' && document.readyState == 'complete'")


def test_user_logs_in_links_another_account_and_is_logged_out_by_the_provider(
    live: Live, provider: Provider, another: Provider, tmp_path: Path
) -> None:
    for each in (provider, another):
        each.lie(page=True)
    origin = f"http://localhost:{live.url.rpartition(':')[2]}"
    begin = f"{origin}/api/v1/auth/oidc/honest/login?return_to=/health/live"
    with chromium(tmp_path / "profile") as page:
        page.call("Page.setBypassCSP", enabled=True)  # the response of return_to stands for a page
        page.call("Page.navigate", url=begin)
        wait_for(page, "/honest/authorize")
        page.click("#login")
        wait_for(page, "/health/live")
        assert page.run("location.origin") == origin

        name, _, csrf = page.run("document.cookie").partition("=")
        assert (name, len(csrf)) == ("__Host-csrf_token", 64)  # the only one that scripts can read
        assert fetch(page, "GET", "users/me")["body"]["email"] == "ada@example.com"

        body = {"provider": "another", "return_to": "/health/live"}
        assert fetch(page, "POST", "auth/oidc/links", body)["status"] == 403
        started = fetch(page, "POST", "auth/oidc/links", body, csrf)["body"]
        page.run(f"location = {json.dumps(started['authorization_url'])}")
        wait_for(page, "/another/authorize")
        page.click("#login")
        wait_for(page, "/health/live")
        linked = fetch(page, "GET", "auth/oidc/identities")["body"]["items"]
        assert {each["issuer"] for each in linked} == {provider.url, another.url}

        form = f"logout_token={provider.logout_token(sub='honest-1')}".encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        path = "auth/oidc/honest/backchannel-logout"
        assert live.send("POST", path, form, headers).status == 200
        assert fetch(page, "GET", "users/me")["status"] == 401

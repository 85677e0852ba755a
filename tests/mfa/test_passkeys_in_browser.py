"""Passkeys in Chromium, with its virtual authenticator: registration, and both kinds of login."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.browser import Browser, chromium
from tests.live import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium"),
]
ACCOUNT = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Browser]:
    """A page at the origin of the passkeys, with an authenticator."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"CACHE_DIR": str(tmp_path), "AUTH_COOKIES": "true", "BIND": f"127.0.0.1:{port}"}
    url = f"http://localhost:{port}"
    with (
        serve(f"sqlite:///{tmp_path}/live.db", PUBLIC_URL=url, **settings),
        chromium(tmp_path / "profile") as browser,
    ):
        browser.call("WebAuthn.enable")
        browser.call("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
        browser.call("Page.setBypassCSP", enabled=True)  # the response stands for a page
        browser.call("Page.navigate", url=f"{url}/health/live")
        browser.wait("location.hostname == 'localhost' && document.readyState == 'complete'")
        yield browser


def send(page: Browser, method: str, path: str, body: Any = None, csrf: str = "") -> Any:
    """The status and the body of a request from a script of the page."""
    options = {"method": method, "headers": {"Content-Type": "application/json"}}
    options["headers"] |= {"X-CSRF-Token": csrf} if csrf else {}
    if body is not None:
        options["body"] = json.dumps(body)
    page.run(
        f"answer = null, void fetch('/api/v1/{path}', {json.dumps(options)}).then(async r =>"
        " answer = JSON.stringify([r.status, r.status == 204 ? null : await r.json()]))"
    )
    return json.loads(page.wait("answer"))


def ask(page: Browser, method: str, options: dict[str, Any]) -> Any:
    """The credential of `navigator.credentials.create` or `.get`, as JSON."""
    kind = "Creation" if method == "create" else "Request"
    parsed = f"PublicKeyCredential.parse{kind}OptionsFromJSON({json.dumps(options)})"
    page.run(
        f"answer = null, void navigator.credentials.{method}({{publicKey: {parsed}}}).then("
        "c => answer = JSON.stringify(c.toJSON()), e => answer = JSON.stringify(String(e)))"
    )
    return json.loads(page.wait("answer"))


def test_passkey_is_registered_and_logs_in_as_second_and_as_only_factor(page: Browser) -> None:
    status, login = send(page, "POST", "auth/cookies", ACCOUNT)
    assert status == 200
    csrf = login["csrf_token"]
    _, found = send(page, "POST", "auth/mfa/passkeys/options", csrf=csrf)
    body = {"name": "Laptop", "credential": ask(page, "create", found["options"])}
    status, factor = send(page, "POST", "auth/mfa/passkeys", body, csrf)
    assert (status, factor["kind"]) == (200, "passkey"), factor
    assert send(page, "POST", "auth/logout", csrf=csrf)[0] == 204

    status, interrupted = send(page, "POST", "auth/cookies", ACCOUNT)
    assert (status, interrupted["methods"]) == (401, ["passkey"])
    token = {"mfa_token": interrupted["mfa_token"]}
    _, found = send(page, "POST", "auth/mfa/passkey/options", token)
    answer = {"credential": ask(page, "get", found["options"])} | token
    status, login = send(page, "POST", "auth/mfa/passkey/cookies", answer)
    assert status == 200, login
    assert send(page, "POST", "auth/logout", csrf=login["csrf_token"])[0] == 204

    _, found = send(page, "POST", "auth/mfa/passkey/options", {})
    answer = {"credential": ask(page, "get", found["options"])}
    assert send(page, "POST", "auth/mfa/passkey/cookies", answer)[0] == 200
    assert send(page, "POST", "auth/mfa/passkey/cookies", answer)[0] == 401
    status, account = send(page, "GET", "users/me")
    assert (status, account["email"]) == (200, DEMO_EMAIL)

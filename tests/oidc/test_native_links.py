"""Identities that a native client links: in the session that starts, by the flow that it gets."""

from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from app.audit.models import AuditEvent
from app.auth.models import Session
from app.core.database.types import now
from app.oidc import flows
from app.oidc.models import Identity
from app.oidc.provider import Provider as ProviderClient
from tests import rows
from tests.api import Caller, bearer
from tests.conftest import MakeApp
from tests.mail_server import receive
from tests.oidc.client import CALLBACK, LOOPBACK, Client, me, query_of
from tests.oidc.provider import Provider
from tests.oidc.test_identities import link as link_in_browser
from tests.oidc.test_identities import start_link as start_link_in_browser

LINKS = "auth/oidc/links/native"


def start_link(
    client: Client, by: Caller | None, provider: str = "honest", **kwargs: Any
) -> TestResponse:
    body = {"provider": provider, "redirect_uri": LOOPBACK}
    return client.post(LINKS, body, by=by, **kwargs)


def response_to_link(client: Client, by: Caller, provider: str = "honest") -> dict[str, str]:
    """The body that finishes a link."""
    return client.response_to(start_link(client, by, provider, status=200))


def finish_link(
    client: Client, body: dict[str, str], by: Caller | None, **kwargs: Any
) -> TestResponse:
    return client.post(f"{LINKS}/finish", body, by=by, **kwargs)


def link(client: Client, by: Caller, provider: str = "honest", **kwargs: Any) -> TestResponse:
    return finish_link(client, response_to_link(client, by, provider), by, **kwargs)


def test_identity_that_a_native_client_links_logs_in_to_its_user(
    make_app: MakeApp, client: Client, provider: Provider, user: Caller
) -> None:
    provider.user(email_verified=False)
    without_cookies = Client(make_app(auth_cookies=False))
    response = link(without_cookies, user, status=200)
    assert (response.json["issuer"], response.json["subject"]) == (provider.url, "honest-1")
    stored = client.get(f"auth/oidc/identities/{response.json['id']}", by=user, status=200)
    assert stored.json == response.json
    assert me(client, client.log_in(status=200))["id"] == str(user.id)


def test_identity_of_another_user_or_a_second_one_of_a_provider_is_409(
    client: Client, provider: Provider, user: Caller, other: Caller
) -> None:
    link(client, user, status=200)
    link(client, other, status=409)
    provider.user(sub="honest-2")
    link(client, user, status=409)
    assert rows.read(client.app, Identity.subject) == ["honest-1"]
    link(client, user, "another", status=200)


def test_v10_2_1_flow_is_finished_once_and_in_the_session_that_started_it(
    client: Client,
    provider: Provider,
    user: Caller,
    other: Caller,
    subtests: pytest.Subtests,
) -> None:
    body = response_to_link(client, user)
    for name, caller in {"of the user": client.sign_in(user), "of another user": other}.items():
        with subtests.test(f"another session {name}"):
            finish_link(client, body, caller, status=401)
            assert rows.count(client.app, Identity) == 0
    with subtests.test("no session"):
        finish_link(client, body, None, status=401)
    finish_link(client, body, user, status=200)
    with subtests.test("used"):
        identity = rows.read(client.app, Identity.id)[0]
        client.delete(f"auth/oidc/identities/{identity}", by=user, status=204)
        finish_link(client, body, user, status=401)
        assert provider.requests("token") == 1  # which would refuse the code as well


def test_flow_ends_with_its_time_and_with_its_session(
    client: Client, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = response_to_link(client, user)
    with monkeypatch.context() as patch:
        patch.setattr(flows, "MAX_AGE", -1)
        finish_link(client, body, user, status=401)
    client.post("auth/logout", by=user, status=204)
    finish_link(client, body, user, status=401)
    assert rows.count(client.app, Identity) == 0


def test_session_that_ends_while_the_provider_answers_links_nothing(
    client: Client, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = response_to_link(client, user)
    exchange = ProviderClient.exchange

    def exchange_and_log_out(*args: Any) -> Any:
        claims = exchange(*args)
        rows.remove(client.app, Session)
        return claims

    monkeypatch.setattr(ProviderClient, "exchange", exchange_and_log_out)
    finish_link(client, body, user, status=401)
    assert rows.count(client.app, Identity) == 0


def test_responses_that_lie_link_nothing(
    client: Client, provider: Provider, user: Caller, subtests: pytest.Subtests
) -> None:
    for name, changes in {
        "state": {"state": "another"},
        "issuer": {"iss": "https://e.com"},
    }.items():
        with subtests.test(name):
            finish_link(client, response_to_link(client, user) | changes, user, status=401)
    with subtests.test("ID token"):
        provider.lie(alg="another key")
        link(client, user, status=401)
    assert rows.count(client.app, Identity) == 0


def test_flow_of_a_login_is_not_finished_as_a_link_nor_the_reverse(
    client: Client, user: Caller
) -> None:
    login = client.response_to(client.start(status=200))
    finish_link(client, login, user, status=401)
    started = response_to_link(client, user)
    client.finish(started, status=401)
    client.finish(started, headers=user.headers, status=401)
    assert rows.count(client.app, Identity) == 0
    client.finish(login, status=200)  # what was refused did not use it


def test_flow_of_a_browser_is_not_finished_by_a_native_client_nor_the_reverse(
    client: Client, user: Caller
) -> None:
    browser = client.client()
    response = query_of(start_link_in_browser(client, browser, user))
    flow = browser.get_cookie("__Host-oidc_flow").value
    finish_link(client, {"flow": flow, **response}, user, status=401)
    response = response_to_link(client, user)
    browser.set_cookie("__Host-oidc_flow", response.pop("flow"))
    refused = browser.get(CALLBACK, query_string=response, headers=user.headers)
    assert refused.status_code == 401
    assert rows.count(client.app, Identity) == 0


def test_native_link_needs_a_recent_login_of_a_person(
    client: Client, user: Caller, subtests: pytest.Subtests
) -> None:
    key = {"name": "key", "scopes": ["errands:own"]}
    secret = client.post("auth/api-keys", key, by=user, status=201).json["secret"]
    body = response_to_link(client, user)
    with subtests.test("no credentials"):
        start_link(client, None, status=401)
    with subtests.test("API key"):
        start_link(client, None, headers=bearer(secret), status=403)
        finish_link(client, body, None, headers=bearer(secret), status=403)
    with subtests.test("old login"):
        (session,) = rows.read(client.app, Session.id)
        rows.change(client.app, Session, session, created_at=now() - timedelta(minutes=16))
        for refused in (start_link(client, user), finish_link(client, body, user)):
            assert refused.status_code == 401
            assert refused.json["type"] == "/problems/recent-login-required"
    assert rows.count(client.app, Identity) == 0


# begin audit
def test_native_link_is_recorded_like_that_of_a_browser(
    client: Client, provider: Provider, user: Caller, other: Caller
) -> None:
    link(client, user, status=200)
    provider.user(sub="honest-2")
    assert link_in_browser(client, other).status_code == 303
    recorded = {"resource": "oidc_identities", "action": "create"}
    assert set(rows.read(client.app, AuditEvent.actor_id, **recorded)) == {user.id, other.id}
    native, browser = rows.read(client.app, AuditEvent.after, **recorded)
    assert native.keys() == browser.keys() >= {"issuer", "subject"}


# end audit
def test_owner_gets_a_mail_about_a_native_link(
    make_app: MakeApp, client: Client, user: Caller
) -> None:
    with receive() as mailbox:
        link(Client(make_app(smtp_url=mailbox.url)), user, status=200)
    assert [message["Subject"] for message in mailbox.messages] == ["Another way to log in"]
    assert mailbox.recipients == [[f"<{user.email}>"]]

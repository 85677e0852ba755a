"""Identities of a user: linked in a session, listed, unlinked, and erased with the account."""

from uuid import UUID

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.audit.models import AuditEvent
from app.auth.accounts import login_without_password
from app.auth.models import Session
from app.core.database.types import now
from app.oidc.models import Identity, ProviderSession
from app.users.models import User
from tests import rows
from tests.api import Caller, bearer
from tests.auth.mailing import NEW_PASSWORD
from tests.conftest import MakeApp
from tests.mail_server import receive
from tests.oidc.client import Client, authorize, below_origin, me
from tests.oidc.provider import Provider


def link(client: Client, by: Caller, provider: str = "honest") -> TestResponse:
    """Link the user at the provider to a user here, in a browser."""
    browser = client.client()
    return browser.get(start_link(client, browser, by, provider), buffered=True)


def start_link(client: Client, browser: FlaskClient, by: Caller, provider: str = "honest") -> str:
    """Path and query with which the provider returns the browser."""
    body = {"provider": provider, "return_to": "/account"}
    started = browser.post("/api/v1/auth/oidc/links", json=body, headers=by.headers)
    assert started.status_code == 200, started.text
    assert "flow" not in started.json
    return below_origin(authorize(started.json["authorization_url"]))


def identities(client: Client, by: Caller) -> list[dict]:
    items: list[dict] = client.get("auth/oidc/identities", by=by, status=200).json["items"]
    return items


def test_identity_that_is_linked_in_a_session_logs_in_to_its_user(
    client: Client, provider: Provider, user: Caller
) -> None:
    provider.user(email_verified=False)
    response = link(client, user)
    assert (response.status_code, response.headers["Location"]) == (303, "/account")
    (identity,) = identities(client, user)
    assert (identity["issuer"], identity["subject"]) == (provider.url, "honest-1")
    assert me(client, client.log_in(status=200))["id"] == str(user.id)


def test_identity_of_another_user_cannot_be_linked(
    client: Client, user: Caller, other: Caller
) -> None:
    assert link(client, user).status_code == 303
    assert link(client, other).status_code == 409
    assert rows.read(client.app, Identity.owner_id) == [user.id]


def test_user_has_one_identity_for_each_provider(
    client: Client, provider: Provider, user: Caller
) -> None:
    assert link(client, user).status_code == 303
    provider.user(sub="honest-2")
    assert link(client, user).status_code == 409
    assert link(client, user, "another").status_code == 303
    assert len(identities(client, user)) == 2


def test_link_ends_with_the_session_that_started_it(client: Client, user: Caller) -> None:
    browser = client.client()
    target = start_link(client, browser, user)
    client.post("auth/logout", by=user, status=204)
    assert browser.get(target).status_code == 401
    assert rows.count(client.app, Identity) == 0


def test_link_is_finished_in_the_browser_that_started_it(client: Client, user: Caller) -> None:
    target = start_link(client, client.client(), user)
    assert client.client().get(target).status_code == 401


def test_link_needs_a_recent_login_of_a_person(client: Client, user: Caller) -> None:
    body = {"provider": "honest"}
    client.post("auth/oidc/links", body, status=401)
    key = {"name": "key", "scopes": ["errands:own"]}
    secret = client.post("auth/api-keys", key, by=user, status=201).json["secret"]
    client.post("auth/oidc/links", body, headers=bearer(secret), status=403)


def test_only_way_to_log_in_cannot_be_unlinked(client: Client, provider: Provider) -> None:
    tokens = client.log_in(status=200)
    account = me(client, tokens)
    caller = Caller(UUID(account["id"]), "", "user", bearer(tokens.json["access_token"]))
    (first,) = identities(client, caller)
    client.delete(f"auth/oidc/identities/{first['id']}", by=caller, status=409)
    assert link(client, caller, "another").status_code == 303
    client.delete(f"auth/oidc/identities/{first['id']}", by=caller, status=204)
    (second,) = identities(client, caller)
    client.delete(f"auth/oidc/identities/{second['id']}", by=caller, status=409)


@pytest.mark.in_process
def test_identity_can_be_unlinked_where_a_feature_knows_another_way_to_log_in(
    client: Client, provider: Provider
) -> None:
    tokens = client.log_in(status=200)
    caller = Caller(UUID(int=0), "", "user", bearer(tokens.json["access_token"]))
    (identity,) = identities(client, caller)
    asked = []

    def knows_one(user_id: UUID, except_id: UUID) -> bool:
        asked.append((str(user_id), str(except_id)))
        return True

    with login_without_password.connected_to(knows_one):
        client.delete(f"auth/oidc/identities/{identity['id']}", by=caller, status=204)
    assert asked == [(me(client, tokens)["id"], identity["id"])]


def test_user_with_a_password_can_unlink_the_only_identity(client: Client, user: Caller) -> None:
    link(client, user)
    (identity,) = identities(client, user)
    client.delete(f"auth/oidc/identities/{identity['id']}", by=user, status=204)
    assert identities(client, user) == []


@pytest.mark.in_process  # a job erases the values in the audit log
def test_identities_are_erased_with_the_account(client: Client, user: Caller) -> None:
    link(client, user)
    client.delete("users/me", by=user, status=204)
    assert rows.count(client.app, Identity) == rows.count(client.app, ProviderSession) == 0
    # begin audit
    events = rows.read(client.app, AuditEvent.after, resource="oidc_identities")
    assert events == [None]
    # end audit


@pytest.mark.parametrize("is_verified", [False, True])
def test_password_reset_unlinks_identities_that_a_stranger_may_have_linked(
    client: Client, make_app: MakeApp, user: Caller, is_verified: bool
) -> None:
    with receive() as mailbox:
        mailing = Client(make_app(smtp_url=mailbox.url))
        rows.change(client.app, User, user.id, email_verified_at=now() if is_verified else None)
        link(mailing, user)
        mailing.post("auth/password/forgot", {"email": user.email}, status=202)
        body = {"token": mailbox.token, "new_password": NEW_PASSWORD}
        mailing.post("auth/password/reset", body, status=204)
    assert rows.count(client.app, Identity) == rows.count(client.app, Session) == 0
    assert me(client, client.log_in(status=200))["id"] != str(user.id)


def test_owner_gets_a_mail_about_a_linked_and_an_unlinked_identity(
    client: Client, make_app: MakeApp, user: Caller
) -> None:
    with receive() as mailbox:
        mailing = Client(make_app(smtp_url=mailbox.url))
        link(mailing, user)
        (identity,) = identities(mailing, user)
        mailing.delete(f"auth/oidc/identities/{identity['id']}", by=user, status=204)
        subjects = {message["Subject"] for message in mailbox.messages}
    assert subjects == {"Another way to log in", "A way to log in was removed"}

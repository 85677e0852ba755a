"""Sessions: what ends one takes effect at the next request."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.auth.models import ApiKey, Session
from app.core.database.types import now
from tests import rows, stack_proxy
from tests.api import PASSWORD, Api, Caller, bearer
from tests.auth.login import log_in, refresh, session_of

PASSWORDS = {"current_password": PASSWORD, "new_password": "another long enough password"}

End = Callable[[Api, Caller, Caller, dict[str, str]], TestResponse]
ENDS: dict[str, End] = {
    "logout": lambda api, user, admin, headers: api.post("auth/logout", headers=headers),
    "disabled user": lambda api, user, admin, headers: api.patch(
        f"users/{user.id}", {"is_active": False}, by=admin
    ),
    "deleted user": lambda api, user, admin, headers: api.delete(f"users/{user.id}", by=admin),
    "new password": lambda api, user, admin, headers: api.put(
        "users/me/password", PASSWORDS, by=user
    ),
    "revoked others": lambda api, user, admin, headers: api.delete("auth/sessions", by=user),
    "revoked by an admin": lambda api, user, admin, headers: api.delete(
        f"users/{user.id}/sessions", by=admin
    ),
    "revoked by id": lambda api, user, admin, headers: api.delete(
        f"auth/sessions/{api.get('auth/sessions?limit=1', by=user).json['items'][0]['id']}",
        by=user,
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_ended_session_is_401_at_the_next_request(
    api: Api, user: Caller, admin: Caller, end: End
) -> None:
    tokens = log_in(api, user.email, status=200)
    headers = bearer(tokens.json["access_token"])
    api.get("users/me", headers=headers, status=200)
    assert end(api, user, admin, headers).status_code in (200, 204)
    for method, path in (("GET", "users/me"), ("GET", "notes"), ("GET", "articles"),
                         ("POST", "notes"), ("DELETE", "auth/sessions")):  # fmt: skip
        refused = api.call(method, path, json={"text": "t"}, headers=headers, status=401)
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    refresh(api, tokens, status=401)


def test_admin_ends_the_sessions_of_one_user_after_a_recent_login_and_it_is_recorded(
    api: Api, app: Flask, user: Caller, other: Caller, admin: Caller
) -> None:
    path = f"users/{user.id}/sessions"
    key = api.post(
        "auth/api-keys", {"name": "Key", "scopes": ["parcels:own"]}, by=user, status=201
    ).json
    api.delete(path, by=user, status=403)
    api.delete(f"users/{UUID(int=0)}/sessions", by=admin, status=404)
    for _ in range(2):  # the second time there are none
        api.delete(path, by=admin, status=204)
    assert rows.count(app, Session, owner_id=user.id) == 0
    api.get("users/me", by=other, status=200)
    api.get("users/me", by=admin, status=200)
    assert rows.count(app, ApiKey, id=UUID(key["id"])) == 1
    log_in(api, user.email, status=200)
    # begin audit
    query = "audit-events?resource=sessions&action=delete"
    [event] = api.get(query, by=admin, status=200).json["items"]
    assert event["actor_id"] == str(admin.id)
    # end audit

    [session] = rows.read(app, Session.id, owner_id=admin.id)
    rows.change(app, Session, session, created_at=now() - timedelta(minutes=16))
    refused = api.delete(path, by=admin, status=401)
    assert refused.json["type"] == "/problems/recent-login-required"


def test_logout_has_an_empty_response(api: Api, user: Caller) -> None:
    assert api.post("auth/logout", by=user, status=204).data == b""


def test_logout_does_not_affect_other_sessions(api: Api, user: Caller) -> None:
    phone, laptop = log_in(api, user.email), log_in(api, user.email)
    api.post("auth/logout", headers=bearer(phone.json["access_token"]), status=204)
    refresh(api, laptop, status=200)


def test_second_logout_with_the_same_token_is_401(api: Api, user: Caller) -> None:
    api.post("auth/logout", by=user, status=204)
    api.post("auth/logout", by=user, status=401)


def test_role_change_takes_effect_at_the_next_request(
    api: Api, editor: Caller, admin: Caller
) -> None:
    tokens = log_in(api, editor.email, status=200)
    api.patch(f"users/{editor.id}", {"role": "user"}, by=admin, status=200)
    path = "articles?is_active=false"
    api.get(path, headers=bearer(tokens.json["access_token"]), status=401)
    tokens = refresh(api, tokens, status=200)
    api.get(path, headers=bearer(tokens.json["access_token"]), status=403)


def test_password_change_keeps_the_session_of_the_request(api: Api, user: Caller) -> None:
    api.put("users/me/password", PASSWORDS, by=user, status=204)
    api.get("users/me", by=user, status=200)


def test_session_list_shows_user_agent_and_address(api: Api, user: Caller) -> None:
    log_in(api, user.email, headers={"User-Agent": "Browser on a bicycle"}, status=200)
    newest = api.get("auth/sessions", by=user, status=200).json["items"][0]
    assert newest["user_agent"] == "Browser on a bicycle"
    assert newest["ip_address"] == "127.0.0.1" or stack_proxy.URL  # or an address of Docker
    assert "hash" not in str(newest)


@pytest.mark.parametrize(
    "aged", [{"last_used_at": timedelta(days=-8)}, {"expires_at": timedelta(0)}], ids=str
)
def test_session_expires_when_idle_and_after_its_maximum_age(
    app: Flask, api: Api, user: Caller, aged: dict[str, timedelta]
) -> None:
    tokens = log_in(api, user.email, status=200)
    values = {name: now() + age for name, age in aged.items()}
    rows.change(app, Session, session_of(app, tokens), **values)
    refresh(api, tokens, status=401)

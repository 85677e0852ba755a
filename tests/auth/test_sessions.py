"""Sessions: what ends one ends it at the next request, whatever its tokens say."""

from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from flask import Flask

from app.auth.models import Session
from app.core.database.types import now
from tests import rows, through
from tests.api import PASSWORD, Api, Caller

NEW_PASSWORD = "another long enough password"


def log_in(api: Api, who: Caller) -> dict[str, str]:
    return api.post("auth/login", {"email": who.email, "password": PASSWORD}, status=200).json


def bearer(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def refresh(api: Api, tokens: dict[str, str], **kwargs):
    return api.post("auth/refresh", {"refresh_token": tokens["refresh_token"]}, **kwargs)


def log_out(api: Api, who: Caller, tokens: dict[str, str], admin: Caller) -> None:
    api.post("auth/logout", headers=bearer(tokens), status=204)


def disable(api: Api, who: Caller, tokens: dict[str, str], admin: Caller) -> None:
    api.patch(f"users/{who.id}", {"is_active": False}, by=admin, status=200)


def delete(api: Api, who: Caller, tokens: dict[str, str], admin: Caller) -> None:
    api.delete(f"users/{who.id}", by=admin, status=204)


def change_password_elsewhere(api: Api, who: Caller, tokens: dict[str, str], admin: Caller) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    api.put("users/me/password", body, by=who, status=204)


def end_all_others_elsewhere(api: Api, who: Caller, tokens: dict[str, str], admin: Caller) -> None:
    api.delete("auth/sessions", by=who, status=204)


def end_it_elsewhere(api: Api, who: Caller, tokens: dict[str, str], admin: Caller) -> None:
    newest = api.get("auth/sessions?limit=1", by=who, status=200).json["items"][0]["id"]
    api.delete(f"auth/sessions/{newest}", by=who, status=204)


ENDS = [
    log_out,
    disable,
    delete,
    change_password_elsewhere,
    end_all_others_elsewhere,
    end_it_elsewhere,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_what_ends_a_session_ends_it_at_once(
    api: Api, user: Caller, admin: Caller, end: object
) -> None:
    tokens = log_in(api, user)
    api.get("users/me", headers=bearer(tokens), status=200)
    end(api, user, tokens, admin)
    for method, path in (("GET", "users/me"), ("GET", "tasks"), ("GET", "products"),
                         ("POST", "tasks"), ("DELETE", "auth/sessions")):  # fmt: skip
        refused = api.call(method, path, json={"title": "t"}, headers=bearer(tokens), status=401)
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    refresh(api, tokens, status=401)


def test_another_role_counts_from_the_next_request_on(
    api: Api, editor: Caller, admin: Caller
) -> None:
    tokens = log_in(api, editor)
    api.patch(f"users/{editor.id}", {"role": "user"}, by=admin, status=200)
    api.get("products?is_active=false", headers=bearer(tokens), status=401)
    tokens = refresh(api, tokens, status=200).json
    api.get("products?is_active=false", headers=bearer(tokens), status=403)


def test_changing_the_password_keeps_the_session_it_was_changed_in(api: Api, user: Caller) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    api.put("users/me/password", body, by=user, status=204)
    api.get("users/me", by=user, status=200)


def test_sessions_tell_where_one_is_logged_in(api: Api, user: Caller) -> None:
    agent = {"User-Agent": "Browser on a bicycle"}
    api.post("auth/login", {"email": user.email, "password": PASSWORD}, headers=agent, status=200)
    newest = api.get("auth/sessions", by=user, status=200).json["items"][0]
    assert newest["user_agent"] == "Browser on a bicycle"
    assert newest["ip_address"] == "127.0.0.1" or through.URL  # there it is one of Docker's network
    assert "hash" not in str(newest)


def test_ten_parallel_refreshes_with_one_token_give_one_successor(
    app: Flask, api: Api, user: Caller
) -> None:
    tokens = log_in(api, user)
    answers = rows.at_once(*[lambda: refresh(api, tokens)] * 10)
    assert sorted(a.status_code for a in answers) == [200] + [409] * 9
    (successor,) = [a.json for a in answers if a.status_code == 200]
    api.get("users/me", headers=bearer(successor), status=200)
    refresh(api, successor, status=200)


def test_a_refresh_token_used_again_later_ends_the_session(
    app: Flask, api: Api, user: Caller
) -> None:
    tokens = log_in(api, user)
    successor = refresh(api, tokens, status=200).json
    (session_id,) = api_sessions(app, user)
    rows.change(app, Session, session_id, last_used_at=now() - timedelta(seconds=11))
    refresh(api, tokens, status=401)
    refresh(api, successor, status=401)
    api.get("users/me", headers=bearer(successor), status=401)


def test_a_token_older_than_the_last_is_never_spared(app: Flask, api: Api, user: Caller) -> None:
    oldest = log_in(api, user)
    last = refresh(api, refresh(api, oldest, status=200).json, status=200).json
    refresh(api, oldest, status=401)
    refresh(api, last, status=401)


@pytest.mark.parametrize(
    "aged", [{"last_used_at": timedelta(days=-8)}, {"expires_at": timedelta(seconds=-1)}], ids=str
)
def test_a_session_expires_when_idle_and_when_old(
    app: Flask, api: Api, user: Caller, aged: dict[str, timedelta]
) -> None:
    tokens = log_in(api, user)
    (session_id,) = api_sessions(app, user)
    rows.change(app, Session, session_id, **{name: now() + age for name, age in aged.items()})
    refresh(api, tokens, status=401)


def api_sessions(app: Flask, user: Caller) -> list:
    """The sessions of a user that began with a login, not with the fixture."""
    with_hash = rows.read(app, Session.id, owner_id=user.id)
    fixtures = rows.read(app, Session.id, owner_id=user.id, refresh_token_hash=b"")
    return [each for each in with_hash if each not in fixtures]


def test_who_knows_only_the_id_of_a_session_cannot_end_it(
    app: Flask, api: Api, user: Caller
) -> None:
    tokens = log_in(api, user)
    (session_id,) = api_sessions(app, user)
    forged = urlsafe_b64encode(session_id.bytes + bytes(48)).decode()
    refresh(api, {"refresh_token": forged}, status=401)
    refresh(api, tokens, status=200)

"""Where a feature demands a second factor: interrupted logins, refreshes, recent logins."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from app.auth import login
from app.auth.login_throttle import LoginAttempts
from app.auth.models import Session
from app.auth.second_factors import TOKEN_SECONDS, read_mfa_token, second_factor_due
from app.core.database.types import now
from app.core.web.problems import Problem
from app.extensions import db
from app.users.models import User
from app.users.passwords import hash_password
from tests import rows
from tests.api import PASSWORD, Api, Caller
from tests.auth.login import log_in, refresh, session_of

KEY = {"name": "Nightly import", "scopes": ["parcels:own"]}
NEW = {"current_password": PASSWORD, "new_password": "a wholly unguessed phrase"}


@pytest.fixture
def demanded() -> Iterator[set[Any]]:
    """The ids of the users who need a method named `riddle`."""
    users: set[Any] = set()

    def demand(user: Any, methods: tuple[str, ...]) -> list[str]:
        return ["riddle"] if user.id in users and "riddle" not in methods else []

    with second_factor_due.connected_to(demand):
        yield users


def age(app: Flask, caller: Caller, minutes: int) -> None:
    [session] = rows.read(app, Session.id, owner_id=caller.id)
    rows.change(app, Session, session, created_at=now() - timedelta(minutes=minutes))


@pytest.mark.parametrize("path", ["auth/login", "auth/cookies"])
def test_login_is_interrupted_where_a_second_factor_is_due(
    api: Api, app: Flask, user: Caller, other: Caller, demanded: set[Any], path: str
) -> None:
    demanded.add(user.id)
    response = api.post(path, {"email": user.email, "password": PASSWORD}, status=401)
    assert response.json["type"] == "/problems/second-factor-required"
    assert response.json["methods"] == ["riddle"]
    assert 'error="insufficient_user_authentication"' in response.headers["WWW-Authenticate"]
    assert response.headers.getlist("Set-Cookie") == []
    assert rows.count(app, Session, owner_id=user.id) == 1  # of the fixture

    with app.test_request_context():
        interrupted = read_mfa_token(response.json["mfa_token"])
        assert (interrupted.user.id, interrupted.methods) == (user.id, ("password",))
        assert login.open_session(interrupted.user, ("password", "riddle"))
        db.session.commit()
    log_in(api, user.email, "not the password", status=401)
    log_in(api, other.email, status=200)


def test_interrupted_login_neither_counts_as_a_failure_nor_resets_failures(
    api: Api, app: Flask, user: Caller, demanded: set[Any]
) -> None:
    demanded.add(user.id)
    log_in(api, user.email, "not the password", status=401)
    for _ in range(12):
        assert "mfa_token" in log_in(api, user.email, status=401).json
    assert rows.read(app, LoginAttempts.failures) == [1, 1]
    assert rows.read(app, LoginAttempts.pending) == [0, 0]


def token_of(api: Api, caller: Caller) -> str:
    token: str = log_in(api, caller.email, status=401).json["mfa_token"]
    return token


@pytest.mark.parametrize("attack", ["cut", "one bit", "no base64", "new password", "disabled"])
def test_invalid_mfa_token_is_refused(
    api: Api, app: Flask, user: Caller, demanded: set[Any], attack: str
) -> None:
    demanded.add(user.id)
    token = token_of(api, user)
    match attack:
        case "cut":
            token = token[:40]
        case "one bit":
            token = token[:60] + ("A" if token[60] != "A" else "B") + token[61:]
        case "no base64":
            token = "\N{GRINNING FACE}"
        case "new password":
            rows.change(app, User, user.id, password_hash=hash_password("another"))
        case "disabled":
            rows.change(app, User, user.id, is_active=False)
    with app.test_request_context(), pytest.raises(Problem, match="MFA token is not valid"):
        read_mfa_token(token)


def test_mfa_token_expires(
    api: Api, app: Flask, user: Caller, demanded: set[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    demanded.add(user.id)
    token = token_of(api, user)
    later = now() + timedelta(seconds=TOKEN_SECONDS + 1)
    monkeypatch.setattr("app.auth.second_factors.now", lambda: later)
    with app.test_request_context(), pytest.raises(Problem, match="MFA token is not valid"):
        read_mfa_token(token)


def test_session_ends_at_its_refresh_once_a_second_factor_is_due(
    api: Api, app: Flask, user: Caller, demanded: set[Any]
) -> None:
    tokens = log_in(api, user.email, status=200)
    demanded.add(user.id)
    refresh(api, tokens, status=401)
    assert rows.count(app, Session, id=session_of(app, tokens)) == 0


def test_new_api_key_needs_a_recent_login(api: Api, app: Flask, user: Caller) -> None:
    age(app, user, 14)
    api.post("auth/api-keys", KEY, by=user, status=201)
    age(app, user, 16)
    response = api.post("auth/api-keys", KEY, by=user, status=401)
    assert response.json["type"] == "/problems/recent-login-required"
    challenge = 'Bearer realm="api", error="insufficient_user_authentication", max_age="900"'
    assert response.headers["WWW-Authenticate"] == challenge
    api.post("auth/api-keys", KEY, by=api.sign_in(user), status=201)


def test_sessions_are_revoked_after_a_recent_login_only(api: Api, app: Flask, user: Caller) -> None:
    age(app, user, 16)
    [session] = api.get("auth/sessions", by=user, status=200).json["items"]
    for path in ("auth/sessions", f"auth/sessions/{session['id']}"):
        api.delete(path, by=user, status=401)
    again = api.sign_in(user)
    api.delete(f"auth/sessions/{session['id']}", by=again, status=204)
    api.delete("auth/sessions", by=again, status=204)


def test_revoked_session_is_an_invalid_token_where_a_recent_login_is_needed(
    api: Api, app: Flask, user: Caller
) -> None:
    rows.remove(app, Session, owner_id=user.id)
    response = api.post("auth/api-keys", KEY, by=user, status=401)
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_password_change_needs_a_recent_login_only_with_a_second_factor(
    api: Api, app: Flask, user: Caller, demanded: set[Any]
) -> None:
    demanded.add(user.id)
    age(app, user, 16)
    response = api.put("users/me/password", NEW, by=user, status=401)
    assert response.json["type"] == "/problems/recent-login-required"
    demanded.clear()
    api.put("users/me/password", NEW, by=user, status=204)


def test_session_shows_how_the_user_has_logged_in(api: Api, user: Caller) -> None:
    assert api.get("auth/sessions", by=user).json["items"][0]["methods"] == ["password"]

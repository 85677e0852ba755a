"""Refresh: rotation, reuse of a token, expiry."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.auth.models import Session
from app.core.database.ids import uuid7
from app.core.database.types import now
from app.users.models import User
from tests import rows
from tests.api import Api, Caller, bearer, comparable_response, error_locations
from tests.auth.login import claims_of, log_in, refresh, session_of


def end_grace_period(app: Flask, tokens: TestResponse) -> None:
    """Age the last refresh of the session by 11 seconds; 10 are the grace period."""
    last_used_at = now() - timedelta(seconds=11)
    rows.change(app, Session, session_of(app, tokens), last_used_at=last_used_at)


def test_refresh_returns_new_tokens_of_the_same_session(api: Api, app: Flask, user: Caller) -> None:
    first = log_in(api, user.email, status=200)
    second = refresh(api, first, status=200)
    assert second.json.keys() == first.json.keys()
    assert second.json["refresh_token"] != first.json["refresh_token"]
    assert claims_of(app, second)["sid"] == claims_of(app, first)["sid"]
    assert claims_of(app, second)["jti"] != claims_of(app, first)["jti"]
    assert second.headers["Cache-Control"] == "no-store"
    api.get("users/me", headers=bearer(second.json["access_token"]), status=200)


def test_refresh_can_be_repeated_with_each_new_token(api: Api, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    for _ in range(3):
        tokens = refresh(api, tokens, status=200)


def test_reused_refresh_token_is_401_and_ends_its_session(
    api: Api, app: Flask, user: Caller
) -> None:
    first = log_in(api, user.email, status=200)
    second = refresh(api, first, status=200)
    end_grace_period(app, first)
    refresh(api, first, status=401)
    refresh(api, second, status=401)
    api.get("users/me", headers=bearer(second.json["access_token"]), status=401)
    assert rows.count(app, Session, id=session_of(app, first)) == 0


def test_reused_refresh_token_does_not_affect_other_sessions(
    api: Api, app: Flask, user: Caller
) -> None:
    phone, laptop = log_in(api, user.email), log_in(api, user.email)
    refresh(api, phone, status=200)
    end_grace_period(app, phone)
    refresh(api, phone, status=401)
    refresh(api, laptop, status=200)


def test_two_parallel_refreshes_succeed_once_and_keep_the_session(
    api: Api, app: Flask, user: Caller
) -> None:
    tokens = log_in(api, user.email, status=200)
    session = select(Session).where(Session.id == session_of(app, tokens))
    answers = rows.blocked_by_lock(app, session, *[lambda: refresh(api, tokens)] * 2)
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    successor = next(answer for answer in answers if answer.status_code == 200)
    refresh(api, successor, status=200)


def test_refresh_does_not_extend_the_session(api: Api, app: Flask, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    session = session_of(app, tokens)
    before = rows.read(app, Session.expires_at, id=session)
    refresh(api, tokens, status=200)
    assert rows.read(app, Session.expires_at, id=session) == before
    assert before[0] - now() <= timedelta(days=app.config["REFRESH_TOKEN_DAYS"])


def test_refresh_records_when_the_session_was_used(api: Api, app: Flask, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    session = session_of(app, tokens)
    an_hour_ago = now() - timedelta(hours=1)
    rows.change(app, Session, session, last_used_at=an_hour_ago)
    refresh(api, tokens, status=200)
    [used] = rows.read(app, Session.last_used_at, id=session)
    assert used > an_hour_ago + timedelta(minutes=59)


def test_refresh_of_a_disabled_user_stays_401_after_reactivation(
    api: Api, app: Flask, user: Caller
) -> None:
    tokens = log_in(api, user.email, status=200)
    rows.change(app, User, user.id, is_active=False)
    refresh(api, tokens, status=401)
    rows.change(app, User, user.id, is_active=True)
    refresh(api, tokens, status=401)


def test_refresh_of_a_deleted_user_is_401(api: Api, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    api.delete("users/me", by=user, status=204)
    refresh(api, tokens, status=401)


def test_refreshed_access_token_has_the_current_role(api: Api, app: Flask, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    rows.change(app, User, user.id, role="editor")
    assert claims_of(app, refresh(api, tokens, status=200))["role"] == "editor"


def test_invalid_refresh_tokens_have_one_response(api: Api, app: Flask, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    session = session_of(app, tokens)
    wrong = [
        "x",
        "not a token at all",
        "ключ",
        "A" * 200,
        tokens.json["access_token"][:200],
        urlsafe_b64encode(uuid7().bytes + bytes(32)).decode(),
        urlsafe_b64encode(session.bytes).decode(),
    ]
    answers = [comparable_response(refresh(api, token, status=401)) for token in wrong]
    assert answers == [answers[0]] * len(wrong)
    assert answers[0][2] == 'Bearer realm="api"'


@pytest.mark.parametrize("token", ["", None, 7, "x" * 201])
def test_malformed_refresh_is_422(api: Api, token: Any) -> None:
    refused = api.post("auth/refresh", {"refresh_token": token}, status=422)
    assert error_locations(refused) == {"#/refresh_token"}


def test_ten_parallel_refreshes_with_one_token_return_one_successor(
    app: Flask, api: Api, user: Caller
) -> None:
    tokens = log_in(api, user.email, status=200)
    answers = rows.in_parallel(*[lambda: refresh(api, tokens)] * 10)
    assert sorted(a.status_code for a in answers) == [200] + [409] * 9
    (successor,) = [a for a in answers if a.status_code == 200]
    api.get("users/me", headers=bearer(successor.json["access_token"]), status=200)
    refresh(api, successor, status=200)


def test_refresh_token_before_the_last_ends_the_session_at_once(api: Api, user: Caller) -> None:
    oldest = log_in(api, user.email, status=200)
    last = refresh(api, refresh(api, oldest, status=200), status=200)
    refresh(api, oldest, status=401)
    refresh(api, last, status=401)


def test_forged_refresh_token_with_a_known_session_id_does_not_end_the_session(
    app: Flask, api: Api, user: Caller
) -> None:
    tokens = log_in(api, user.email, status=200)
    forged = urlsafe_b64encode(session_of(app, tokens).bytes + bytes(48)).decode()
    refresh(api, forged, status=401)
    refresh(api, tokens, status=200)

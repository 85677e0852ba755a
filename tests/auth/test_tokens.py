"""Access tokens: valid ones, attacks (RFC 8725), the cache of verified tokens."""

import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from flask import Flask

from app.auth import signing_keys, tokens
from app.auth.jwt_manager import LEEWAY
from app.auth.models import Session
from app.core.database.ids import uuid7
from app.users.models import User
from tests import rows, stack_proxy
from tests.api import PASSWORD, Api, Caller, bearer, comparable_response
from tests.auth.forged_tokens import ATTACKS, BAD_CLAIMS, Forge, seconds, segment
from tests.conftest import MakeApp

GUNICORN_TAKES = 8190 - len("Authorization: Bearer ")  # limit_request_field_size


@pytest.fixture(params=signing_keys.KEY_TYPES)
def forge(request: pytest.FixtureRequest, app: Flask, user: Caller) -> Forge:
    """A forge for each algorithm."""
    return Forge(app, user, request.param)


@pytest.fixture
def hmac_forge(app: Flask, user: Caller) -> Forge:
    return Forge(app, user)


def refused(api: Api, token: str) -> None:
    if stack_proxy.URL and len(token) > GUNICORN_TAKES:
        api.get("users/me", headers=bearer(token), status=431)
        return
    plainly_wrong = api.get("users/me", headers=bearer("x"), status=401)

    answer = api.get("users/me", headers=bearer(token), status=401)

    challenges = answer.headers.getlist("WWW-Authenticate")
    assert challenges == ['Bearer realm="api", error="invalid_token"']
    assert comparable_response(answer) == comparable_response(plainly_wrong)


def test_unchanged_token_of_the_forge_is_accepted(api: Api, forge: Forge) -> None:
    """Otherwise the forged tokens could be refused for another reason."""
    api.get("users/me", headers=bearer(forge.token()), status=200)


def test_header_of_an_issued_token_has_the_expected_bytes(
    api: Api, user: Caller, hmac_forge: Forge
) -> None:
    """The service compares the header byte by byte."""
    token = user.headers["Authorization"].split()[1]
    assert token.split(".")[0] == segment(hmac_forge.header)


def test_token_times_may_differ_by_the_leeway(api: Api, hmac_forge: Forge) -> None:
    just_expired = hmac_forge.token(exp=seconds() - 1)
    api.get("users/me", headers=bearer(just_expired), status=200)
    ahead = seconds() + LEEWAY
    api.get("users/me", headers=bearer(hmac_forge.token(iat=ahead, nbf=ahead)), status=200)
    assert LEEWAY <= 60


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_case_of_the_bearer_scheme_is_ignored(api: Api, hmac_forge: Forge, scheme: str) -> None:
    header = {"Authorization": f"{scheme} {hmac_forge.token()}"}
    api.get("users/me", headers=header, status=200)


def test_token_in_the_query_string_is_ignored(api: Api, hmac_forge: Forge) -> None:
    answer = api.get(f"users/me?access_token={hmac_forge.token()}", status=401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_token_of_an_insufficient_role_is_403_with_insufficient_scope(
    api: Api, user: Caller
) -> None:
    answer = api.get("users", by=user, status=403)
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge == 'Bearer realm="api", error="insufficient_scope"'


@pytest.mark.database_independent
def test_forged_tokens_have_one_401_response(
    api: Api, forge: Forge, subtests: pytest.Subtests
) -> None:
    for name, attack in ATTACKS.items():
        with subtests.test(name=name):
            refused(api, attack(forge))


@pytest.mark.database_independent
def test_signed_tokens_with_invalid_claims_have_one_401_response(
    api: Api, hmac_forge: Forge, subtests: pytest.Subtests
) -> None:
    for name, forged in BAD_CLAIMS.items():
        with subtests.test(name=name):
            refused(api, forged(hmac_forge))


@pytest.mark.database_independent
@pytest.mark.parametrize("name", ["garbage", "alg none", "header nested deeply"])
def test_forged_token_is_401_on_a_public_route(api: Api, hmac_forge: Forge, name: str) -> None:
    answer = api.get("articles", headers=bearer(ATTACKS[name](hmac_forge)), status=401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.database_independent
@pytest.mark.parametrize("parameter", ["jku", "x5u", "kid", "iss"])
def test_address_in_a_forged_token_is_not_requested(api: Api, forge: Forge, parameter: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/key"
        refused(api, forge.embedded(**{parameter: address}))
        refused(api, forge.token(iss=address))
        with pytest.raises(BlockingIOError):
            server.accept()


def test_token_of_a_deleted_user_is_401(
    api: Api, app: Flask, hmac_forge: Forge, user: Caller
) -> None:
    rows.remove(app, User, id=user.id)
    refused(api, hmac_forge.token())


def test_token_with_the_session_or_subject_of_another_user_is_401(
    api: Api, app: Flask, hmac_forge: Forge, other: Caller
) -> None:
    [session_id] = rows.read(app, Session.id, owner_id=other.id)
    refused(api, hmac_forge.token(sid=str(session_id)))
    refused(api, hmac_forge.token(sub=str(other.id)))


def test_access_and_refresh_tokens_are_not_interchangeable(api: Api, user: Caller) -> None:
    account = {"email": user.email, "password": PASSWORD}
    tokens = api.post("auth/login", account, status=200).json
    refused(api, tokens["refresh_token"])
    answer = api.post("auth/refresh", {"refresh_token": tokens["access_token"][:200]})
    assert answer.status_code == 401


@pytest.mark.parametrize("value", ["Bearer", "bearer x", "Bearer x y", "Bearer x, Bearer y"])
@pytest.mark.parametrize("path", ["users/me", "articles"])
def test_unreadable_authorization_header_is_an_invalid_token(
    api: Api, path: str, value: str
) -> None:
    answer = api.get(path, headers={"Authorization": value}, status=401)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}], ids=["no", "Basic"])
def test_request_without_token_gets_a_challenge_without_error(api: Api, headers: Any) -> None:
    answer = api.get("users/me", headers=headers, status=401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_rejected_token_is_logged_once_and_without_its_text(
    make_app: Callable[..., Flask], capfd: pytest.CaptureFixture[str]
) -> None:
    api = Api(make_app(log_level="INFO"))
    api.get("users/me", headers=bearer("planted.planted.planted"), status=401)
    logged = capfd.readouterr().out
    assert logged.count("access_token_rejected") == 1
    assert "planted" not in logged


def test_token_of_an_application_with_another_secret_is_401(
    api: Api, app: Flask, make_app: Callable[..., Flask], user: Caller
) -> None:
    staging = Api(make_app(jwt_keys="", secret_key="the secret of another stage, long enough"))
    refused(api, staging.sign_in(user).headers["Authorization"].split()[1])
    refused(staging, user.headers["Authorization"].split()[1])


def test_token_is_verified_once(api: Api, user: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    api.get("notes", by=user, status=200)
    monkeypatch.setattr(tokens, "decode_token", None)  # fails if it is called
    api.get("notes", by=user, status=200)


def test_cached_token_is_401_when_it_has_expired(
    api: Api, hmac_forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = hmac_forge.token(exp=seconds() + 60)
    api.get("notes", headers=bearer(token), status=200)
    later = seconds() + 61 + LEEWAY
    monkeypatch.setattr(tokens.time, "time", lambda: later)
    monkeypatch.setattr("jwt.api_jwt.datetime", clock_at(later))
    api.get("notes", headers=bearer(token), status=401)


def clock_at(moment: int) -> Any:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(moment, tz)

    return Clock


def test_cached_token_is_401_where_its_key_was_removed(
    api: Api, make_app: MakeApp, hmac_forge: Forge
) -> None:
    headers = bearer(hmac_forge.token())
    api.get("notes", headers=headers, status=200)
    Api(make_app(jwt_keys="")).get("notes", headers=headers, status=401)


def test_cached_token_with_changed_characters_is_401(api: Api, hmac_forge: Forge) -> None:
    token = hmac_forge.token()
    api.get("notes", headers=bearer(token), status=200)
    head, payload, signature = token.split(".")
    for changed in (f"{head}.{payload}.", f"{head}.{payload}.{signature[:-1]}", f"{token}="):
        api.get("notes", headers=bearer(changed), status=401)


def test_cache_of_verified_tokens_is_bounded(
    app: Flask, api: Api, hmac_forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "TOKEN_CACHE_SIZE", 3)
    for _ in range(10):
        api.get("notes", headers=bearer(hmac_forge.token(jti=str(uuid7()))), status=200)
        assert len(app.extensions["auth"].verified_tokens) <= 3

"""Login: tokens, uniform errors, timing, rehashing, races with account changes."""

import base64
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher, extract_parameters
from flask import Flask
from sqlalchemy import select, update

from app.auth import login, login_throttle
from app.auth.models import Session
from app.auth.second_factors import read_mfa_token, second_factor_due
from app.users import passwords
from app.users.models import User
from app.users.passwords import hash_password
from tests import rows
from tests.api import (
    PASSWORD,
    PASSWORD_HASH,
    Api,
    Caller,
    bearer,
    comparable_response,
    error_locations,
)
from tests.auth.login import claims_of, log_in, refresh, session_of
from tests.conftest import Counter


class TestOutdatedHash:
    @pytest.fixture(autouse=True)
    def stronger(self, monkeypatch: pytest.MonkeyPatch, user: Caller) -> None:
        """Require stronger parameters than those of the stored hash."""
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(3, 20 * 1024, 1))

    def test_login_renews_an_outdated_hash_once(self, api: Api, app: Flask, user: Caller) -> None:
        log_in(api, user.email, status=200)
        [stored] = rows.read(app, User.password_hash, id=user.id)
        assert extract_parameters(stored).time_cost == 3
        log_in(api, user.email, status=200)
        assert rows.read(app, User.password_hash, id=user.id) == [stored]

    def test_interrupted_login_renews_an_outdated_hash_and_can_be_completed(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        def demand(user: Any, methods: tuple[str, ...]) -> list[str]:
            return ["riddle"]

        with second_factor_due.connected_to(demand):
            token = log_in(api, user.email, status=401).json["mfa_token"]
        [stored] = rows.read(app, User.password_hash, id=user.id)
        assert extract_parameters(stored).time_cost == 3
        with app.test_request_context():
            assert read_mfa_token(token).user.id == user.id

    def test_failed_login_keeps_an_outdated_hash(self, api: Api, app: Flask, user: Caller) -> None:
        log_in(api, user.email, "not the password", status=401)
        [stored] = rows.read(app, User.password_hash, id=user.id)
        assert stored == PASSWORD_HASH

    def test_renewed_hash_does_not_change_the_etag_of_the_user(
        self, api: Api, user: Caller
    ) -> None:
        before = api.get("users/me", by=user)
        log_in(api, user.email, status=200)
        after = api.get("users/me", by=user)
        assert (after.headers["ETag"], after.data) == (before.headers["ETag"], before.data)

    def test_two_logins_can_renew_one_hash_at_the_same_time(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        account = select(User).where(User.id == user.id)
        answers = rows.blocked_by_lock(app, account, *[lambda: log_in(api, user.email)] * 2)
        assert [answer.status_code for answer in answers] == [200, 200]


def test_login_returns_a_token_pair_that_is_not_cacheable(api: Api, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    assert tokens.json.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert tokens.json["token_type"] == "Bearer"
    assert tokens.json["expires_in"] == 600
    assert tokens.headers["Cache-Control"] == "no-store"


def test_login_returns_an_access_token_of_the_user(api: Api, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    me = api.get("users/me", headers=bearer(tokens.json["access_token"]), status=200)
    assert me.json["id"] == str(user.id)


def test_access_token_of_a_login_has_all_claims(api: Api, app: Flask, editor: Caller) -> None:
    tokens = log_in(api, editor.email, status=200)
    header = jwt.get_unverified_header(tokens.json["access_token"])
    claims = claims_of(app, tokens)
    assert (header["typ"], header["alg"]) == ("at+jwt", "HS256")
    assert claims.keys() >= {"iss", "aud", "sub", "sid", "role", "iat", "exp", "jti"}
    assert claims["sub"] == str(editor.id)
    assert claims["role"] == "editor"
    assert claims["exp"] - claims["iat"] == 600


def test_login_ignores_the_case_of_the_address(api: Api, user: Caller) -> None:
    log_in(api, user.email.upper(), status=200)


def test_each_login_creates_a_session(api: Api, app: Flask, user: Caller) -> None:
    first, second = log_in(api, user.email), log_in(api, user.email)
    assert claims_of(app, first)["sid"] != claims_of(app, second)["sid"]
    refresh(api, first, status=200)
    refresh(api, second, status=200)


def test_refresh_token_is_stored_as_a_hash(api: Api, app: Flask, user: Caller) -> None:
    tokens = log_in(api, user.email, status=200)
    session = session_of(app, tokens)
    [kept] = rows.read(app, Session.refresh_token_hash, id=session)
    secret = base64.urlsafe_b64decode(tokens.json["refresh_token"])
    assert len(secret) == 16 + 32 + 16  # id, secret, signature
    assert kept not in secret
    assert secret[16:48] not in kept


def test_login_response_does_not_reveal_whether_account_exists(
    api: Api, app: Flask, user: Caller, other: Caller
) -> None:
    rows.change(app, User, other.id, is_active=False)
    unknown = log_in(api, "nobody@example.com", status=401)
    wrong = log_in(api, user.email, "not the password", status=401)
    disabled = log_in(api, other.email, status=401)
    assert (
        comparable_response(unknown) == comparable_response(wrong) == comparable_response(disabled)
    )
    assert unknown.headers["WWW-Authenticate"] == 'Bearer realm="api"'


def test_failed_login_creates_no_session(api: Api, app: Flask, user: Caller) -> None:
    log_in(api, user.email, "not the password", status=401)
    assert rows.count(app, Session, owner_id=user.id) == 1  # of the fixture


@pytest.mark.usefixtures("shipped_hasher")
def test_login_with_an_unknown_address_verifies_a_hash(
    api: Api, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    class Watched(PasswordHasher):
        def verify(self, stored: Any, password: Any) -> Any:
            verified.append(stored)
            return super().verify(stored, password)

    monkeypatch.setattr(passwords, "_hasher", Watched(2, 19 * 1024, 1))
    log_in(api, "nobody@example.com", status=401)

    [stored] = verified
    assert extract_parameters(stored) == extract_parameters(passwords.hash_password("x"))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"password": PASSWORD}, "#/email"),
        ({"email": "ada@example.com"}, "#/password"),
        ({"email": "ada", "password": PASSWORD}, "#/email"),
        ({"email": "ada@example.com", "password": "x" * 1025}, "#/password"),
        ({"email": "ada@example.com", "password": PASSWORD, "role": "admin"}, "#/role"),
    ],
)
def test_malformed_login_is_422(api: Api, body: Any, place: str) -> None:
    assert error_locations(api.post("auth/login", body, status=422)) == {place}


ROUNDS = 25


TOLERANCE = 0.1  # about 0.02 is measured; an omitted hash makes it 1 or more


class TestLoginTiming:
    """The work of a failed login: unknown address, wrong password, disabled account.

    Work is measured as the processor time of this thread, in turns, so that a loaded machine slows
    all of them down alike; the waits for the database are counted as statements.
    """

    @pytest.fixture
    def guesses(
        self,
        shipped_hasher: None,
        api: Api,
        app: Flask,
        user: Caller,
        other: Caller,
        monkeypatch: pytest.MonkeyPatch,
    ) -> dict[str, Callable[[], Any]]:
        monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ADDRESS", 10**6)
        monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ACCOUNT", 10**6)
        rows.change(app, User, other.id, is_active=False)
        return {
            "unknown": lambda: log_in(api, "nobody@example.com", status=401),
            "wrong": lambda: log_in(api, user.email, "not the password", status=401),
            "disabled": lambda: log_in(api, other.email, PASSWORD, status=401),
        }

    def spread(self, guesses: dict[str, Callable[[], Any]]) -> float:
        """The relative difference between the slowest and the fastest median."""
        times: dict[str, list[float]] = {name: [] for name in guesses}
        for turn in range(ROUNDS + 1):
            for name, guess in guesses.items():
                began = time.thread_time()
                guess()
                if turn:  # not the first: it fills caches
                    times[name].append(time.thread_time() - began)
        medians = [median(each) for each in times.values()]
        return max(medians) / min(medians) - 1

    @pytest.mark.slow
    def test_login_time_does_not_reveal_whether_account_exists(
        self, guesses: dict[str, Callable[[], Any]]
    ) -> None:
        # A difference of the code is there each time, one of the machine is not.
        assert any(self.spread(guesses) < TOLERANCE for _ in range(3))

    @pytest.mark.slow
    def test_timing_measurement_detects_an_omitted_hash(
        self, guesses: dict[str, Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without it the previous test could pass for a wrong reason."""
        honest = passwords.verify_password
        monkeypatch.setattr(
            login,
            "verify_password",
            lambda stored, password: stored is not None and honest(stored, password),
        )
        assert self.spread(guesses) > 5 * TOLERANCE

    def test_login_hashes_and_statements_do_not_reveal_whether_account_exists(
        self,
        guesses: dict[str, Callable[[], Any]],
        queries: Counter,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        hashed: list[str] = []

        class Watched(PasswordHasher):
            def verify(self, stored: Any, password: Any) -> Any:
                hashed.append(stored)
                return super().verify(stored, password)

        monkeypatch.setattr(passwords, "_hasher", Watched(2, 19 * 1024, 1))
        done = []
        for guess in guesses.values():
            hashed.clear()
            with queries() as sent:
                guess()
            done.append((len(hashed), [statement.split()[:3] for statement in sent]))
        assert done == [done[0]] * 3
        assert done[0][0] == 1


def test_login_is_401_when_the_password_is_replaced_meanwhile(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = passwords.verify_password
    once = iter([lambda: rows.change(app, User, user.id, password_hash=hash_password("another"))])

    def verify(stored: str | None, password: str) -> bool:
        result = honest(stored, password)
        next(once, lambda: None)()
        return result

    monkeypatch.setattr(login, "verify_password", verify)
    log_in(api, user.email, status=401)


def test_login_creates_no_session_while_a_new_password_is_committed(
    api: Api, app: Flask, user: Caller
) -> None:
    replace = update(User).where(User.id == user.id).values(password_hash=hash_password("another"))
    [refused] = rows.blocked_by_lock(app, replace, lambda: log_in(api, user.email))
    assert refused.status_code == 401
    assert rows.count(app, Session, owner_id=user.id) == 1  # of the fixture
    assert rows.read(app, login_throttle.LoginAttempts.failures) == [1, 1]  # the failure is counted


def test_login_is_retried_when_the_user_was_changed_meanwhile(
    api: Api, app: Flask, user: Caller
) -> None:
    promote = update(User).where(User.id == user.id).values(role="editor")
    [tokens] = rows.blocked_by_lock(app, promote, lambda: log_in(api, user.email))
    assert tokens.status_code == 200
    api.get("users/me", headers=bearer(tokens.json["access_token"]), status=200)

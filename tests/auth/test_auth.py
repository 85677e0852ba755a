"""Auth: a session begins with a password, lives by rotation, and ends for good."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from argon2 import PasswordHasher, extract_parameters
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.auth.models import Session
from app.auth.service import REUSE_GRACE
from app.core.database.ids import uuid7
from app.core.database.types import now
from app.users import passwords
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Api, Caller, answer_of, bearer, places

NAME = {"name": "Ada Lovelace"}


def log_in(api: Api, email: str, password: str = PASSWORD, **kwargs: Any) -> TestResponse:
    return api.post("auth/login", {"email": email, "password": password}, **kwargs)


def refresh(api: Api, tokens: TestResponse | str, **kwargs: Any) -> TestResponse:
    token = tokens if isinstance(tokens, str) else tokens.json["refresh_token"]
    return api.post("auth/refresh", {"refresh_token": token}, **kwargs)


def claims_of(app: Flask, tokens: TestResponse) -> dict[str, Any]:
    return jwt.decode(
        tokens.json["access_token"],
        app.config["JWT_SECRET_KEY"],
        algorithms=["HS256"],
        audience=app.config["TOKEN_AUDIENCE"],
    )


class TestRegistering:
    def test_lets_one_log_in_at_once(self, api: Api) -> None:
        account = {"email": "ada@example.com", "password": PASSWORD}
        api.post("users", account | NAME, status=201)

        log_in(api, "ada@example.com", status=200)

    def test_gives_the_account_without_its_password(self, api: Api) -> None:
        account = {"email": "ada@example.com", "password": PASSWORD}
        created = api.post("users", account | NAME, status=201)

        assert created.json.keys() == {
            "id", "email", "name", "role", "is_active", "email_verified_at",
            "version", "created_at", "updated_at",
        }  # fmt: skip
        assert created.json["role"] == "user"
        assert created.json["is_active"] is True

    @pytest.mark.parametrize("member", ["id", "role", "is_active", "version", "password_hash"])
    def test_cannot_set_what_is_the_servers(self, api: Api, app: Flask, member: str) -> None:
        account = {"email": "eve@example.com", "password": PASSWORD, **NAME}
        refused = api.post("users", account | {member: "admin"}, status=422)

        assert places(refused) == {f"#/{member}"}
        assert rows.count(app, User) == 0

    def test_names_every_failing_member(self, api: Api) -> None:
        refused = api.post("users", {"email": "ada@", "password": "short"}, status=422)

        assert places(refused) == {"#/email", "#/name", "#/password"}


class TestPasswords:
    def register(self, api: Api, password: str, **kwargs: Any) -> TestResponse:
        account = {"email": "ada@example.com", "password": password, **NAME}
        return api.post("users", account, **kwargs)

    @pytest.mark.parametrize(
        "password",
        ["fifteen letters", "a b " * 16, "🔑" * 15, "x" * 128, "x" * 1024],
        ids=["15", "64 with spaces", "15 emoji", "128", "1024"],
    )
    def test_may_be_long_and_of_any_characters(self, api: Api, password: str) -> None:
        self.register(api, password, status=201)

        log_in(api, "ada@example.com", password, status=200)

    @pytest.mark.parametrize(
        "password",
        ["fourteen chars", "🔑" * 14, "", "x" * 1025, None, 123456789012345],
        ids=["14", "14 emoji", "empty", "1025", "null", "number"],
    )
    def test_outside_their_bounds_are_422(self, api: Api, password: Any) -> None:
        refused = self.register(api, password, status=422)

        assert places(refused) == {"#/password"}

    def test_count_to_the_last_character(self, api: Api) -> None:
        self.register(api, "x" * 72 + "y", status=201)

        log_in(api, "ada@example.com", "x" * 72 + "z", status=401)
        log_in(api, "ada@example.com", "x" * 72, status=401)

    def test_are_told_apart_by_case(self, api: Api) -> None:
        self.register(api, PASSWORD, status=201)

        log_in(api, "ada@example.com", PASSWORD.upper(), status=401)

    def test_are_kept_as_argon2id_of_owasps_strength(self, api: Api, app: Flask) -> None:
        self.register(api, PASSWORD, status=201)

        [stored] = rows.read(app, User.password_hash)
        assert stored.startswith("$argon2id$")
        kept = extract_parameters(stored)
        assert (kept.memory_cost, kept.time_cost, kept.parallelism) == (19 * 1024, 2, 1)
        assert PASSWORD not in stored

    def test_of_two_accounts_have_different_hashes(self, api: Api, app: Flask) -> None:
        for email in ("ada@example.com", "bob@example.com"):
            api.post("users", {"email": email, "password": PASSWORD, **NAME}, status=201)

        assert len(set(rows.read(app, User.password_hash))) == 2


class TestStrongerParameters:
    @pytest.fixture(autouse=True)
    def stronger(self, monkeypatch: pytest.MonkeyPatch, user: Caller) -> None:
        """What is stored was hashed with less than is asked for from now on."""
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(3, 20 * 1024, 1))

    def test_rehash_the_password_at_the_next_login(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        log_in(api, user.email, status=200)

        [stored] = rows.read(app, User.password_hash, id=user.id)
        assert extract_parameters(stored).time_cost == 3
        log_in(api, user.email, status=200)
        assert rows.read(app, User.password_hash, id=user.id) == [stored]

    def test_do_not_rehash_what_was_not_proved(self, api: Api, app: Flask, user: Caller) -> None:
        log_in(api, user.email, "not the password", status=401)

        [stored] = rows.read(app, User.password_hash, id=user.id)
        assert extract_parameters(stored).time_cost == 2

    def test_leave_the_account_as_its_reader_knows_it(self, api: Api, user: Caller) -> None:
        before = api.get("users/me", by=user)
        log_in(api, user.email, status=200)

        after = api.get("users/me", by=user)
        assert (after.headers["ETag"], after.data) == (before.headers["ETag"], before.data)

    def test_let_two_log_in_at_the_same_time(self, api: Api, app: Flask, user: Caller) -> None:
        account = select(User).where(User.id == user.id)
        answers = rows.held_up(app, account, *[lambda: log_in(api, user.email)] * 2)

        assert [answer.status_code for answer in answers] == [200, 200]


class TestLogin:
    def test_gives_a_pair_of_tokens_that_nobody_may_cache(self, api: Api, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)

        assert tokens.json.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert tokens.json["token_type"] == "Bearer"
        assert tokens.json["expires_in"] == 600
        assert tokens.headers["Cache-Control"] == "no-store"

    def test_gives_an_access_token_for_the_one_who_logged_in(self, api: Api, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)

        me = api.get("users/me", headers=bearer(tokens.json["access_token"]), status=200)
        assert me.json["id"] == str(user.id)

    def test_puts_every_claim_into_the_access_token(
        self, api: Api, app: Flask, editor: Caller
    ) -> None:
        tokens = log_in(api, editor.email, status=200)

        header = jwt.get_unverified_header(tokens.json["access_token"])
        claims = claims_of(app, tokens)
        assert (header["typ"], header["alg"]) == ("at+jwt", "HS256")
        assert claims.keys() >= {"iss", "aud", "sub", "sid", "role", "iat", "exp", "jti"}
        assert claims["sub"] == str(editor.id)
        assert claims["role"] == "editor"
        assert claims["exp"] - claims["iat"] == 600

    def test_takes_the_address_in_any_case(self, api: Api, user: Caller) -> None:
        log_in(api, user.email.upper(), status=200)

    def test_begins_a_session_each_time(self, api: Api, app: Flask, user: Caller) -> None:
        first, second = log_in(api, user.email), log_in(api, user.email)

        assert claims_of(app, first)["sid"] != claims_of(app, second)["sid"]
        refresh(api, first, status=200)
        refresh(api, second, status=200)

    def test_keeps_of_the_refresh_token_only_a_hash(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        tokens = log_in(api, user.email, status=200)

        session = UUID(claims_of(app, tokens)["sid"])
        [kept] = rows.read(app, Session.refresh_token_hash, id=session)
        secret = base64.urlsafe_b64decode(tokens.json["refresh_token"])
        assert len(secret) == 16 + 32 + 16  # the id, the secret and the seal
        assert kept not in secret
        assert secret[16:48] not in kept

    def test_has_one_answer_for_whatever_is_wrong(
        self, api: Api, app: Flask, user: Caller, other: Caller
    ) -> None:
        rows.change(app, User, other.id, is_active=False)

        unknown = log_in(api, "nobody@example.com", status=401)
        wrong = log_in(api, user.email, "not the password", status=401)
        disabled = log_in(api, other.email, status=401)

        assert answer_of(unknown) == answer_of(wrong) == answer_of(disabled)
        assert unknown.headers["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_that_is_refused_begins_no_session(self, api: Api, app: Flask, user: Caller) -> None:
        log_in(api, user.email, "not the password", status=401)

        assert rows.count(app, Session, owner_id=user.id) == 1  # that of the fixture

    def test_does_the_work_of_a_hash_for_an_unknown_address_too(
        self, api: Api, app: Flask, monkeypatch: pytest.MonkeyPatch
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
    def test_that_is_malformed_is_422(self, api: Api, body: Any, place: str) -> None:
        assert places(api.post("auth/login", body, status=422)) == {place}


def let_the_grace_pass(app: Flask, tokens: TestResponse) -> None:
    """As if the last exchange in the session was no longer a moment ago."""
    session_id = UUID(claims_of(app, tokens)["sid"])
    rows.change(app, Session, session_id, last_used_at=now() - 2 * REUSE_GRACE)


class TestRefresh:
    def test_gives_new_tokens_for_the_same_session(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        first = log_in(api, user.email, status=200)
        second = refresh(api, first, status=200)

        assert second.json.keys() == first.json.keys()
        assert second.json["refresh_token"] != first.json["refresh_token"]
        assert claims_of(app, second)["sid"] == claims_of(app, first)["sid"]
        assert claims_of(app, second)["jti"] != claims_of(app, first)["jti"]
        assert second.headers["Cache-Control"] == "no-store"
        api.get("users/me", headers=bearer(second.json["access_token"]), status=200)

    def test_goes_on_from_token_to_token(self, api: Api, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        for _ in range(3):
            tokens = refresh(api, tokens, status=200)

    def test_with_a_used_token_ends_the_session_although_the_answer_is_401(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        first = log_in(api, user.email, status=200)
        second = refresh(api, first, status=200)
        let_the_grace_pass(app, first)

        refresh(api, first, status=401)

        refresh(api, second, status=401)
        assert rows.count(app, Session, id=UUID(claims_of(app, first)["sid"])) == 0

    def test_with_a_used_token_leaves_other_sessions_alone(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        phone, laptop = log_in(api, user.email), log_in(api, user.email)
        refresh(api, phone, status=200)
        let_the_grace_pass(app, phone)
        refresh(api, phone, status=401)

        refresh(api, laptop, status=200)

    def test_twice_at_the_same_time_succeeds_once_and_keeps_the_session(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        tokens = log_in(api, user.email, status=200)
        session = select(Session).where(Session.id == UUID(claims_of(app, tokens)["sid"]))

        answers = rows.held_up(app, session, *[lambda: refresh(api, tokens)] * 2)

        assert sorted(answer.status_code for answer in answers) == [200, 409]
        successor = next(answer for answer in answers if answer.status_code == 200)
        refresh(api, successor, status=200)

    def test_of_an_expired_session_is_401(self, api: Api, app: Flask, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        rows.change(app, Session, UUID(claims_of(app, tokens)["sid"]), expires_at=now())

        refresh(api, tokens, status=401)

    def test_does_not_prolong_the_session(self, api: Api, app: Flask, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        session = UUID(claims_of(app, tokens)["sid"])
        before = rows.read(app, Session.expires_at, id=session)

        refresh(api, tokens, status=200)

        assert rows.read(app, Session.expires_at, id=session) == before
        assert before[0] - now() <= timedelta(days=app.config["REFRESH_TOKEN_DAYS"])

    def test_notes_when_the_session_was_used(self, api: Api, app: Flask, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        session = UUID(claims_of(app, tokens)["sid"])
        an_hour_ago = now() - timedelta(hours=1)
        rows.change(app, Session, session, last_used_at=an_hour_ago)

        refresh(api, tokens, status=200)

        [used] = rows.read(app, Session.last_used_at, id=session)
        assert used > an_hour_ago + timedelta(minutes=59)

    def test_of_a_disabled_user_is_401_for_good(self, api: Api, app: Flask, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        rows.change(app, User, user.id, is_active=False)
        refresh(api, tokens, status=401)
        rows.change(app, User, user.id, is_active=True)

        refresh(api, tokens, status=401)

    def test_of_a_deleted_user_is_401(self, api: Api, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        api.delete("users/me", by=user, status=204)

        refresh(api, tokens, status=401)

    def test_takes_up_the_role_of_today(self, api: Api, app: Flask, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)
        rows.change(app, User, user.id, role="editor")

        assert claims_of(app, refresh(api, tokens, status=200))["role"] == "editor"

    def test_refuses_whatever_is_no_refresh_token_with_one_answer(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        tokens = log_in(api, user.email, status=200)
        session = UUID(claims_of(app, tokens)["sid"])
        wrong = [
            "x",
            "not a token at all",
            "ключ",
            "A" * 200,
            tokens.json["access_token"][:200],
            base64.urlsafe_b64encode(uuid7().bytes + bytes(32)).decode(),
            base64.urlsafe_b64encode(session.bytes).decode(),
        ]
        answers = [answer_of(refresh(api, token, status=401)) for token in wrong]

        assert answers == [answers[0]] * len(wrong)
        assert answers[0][2] == 'Bearer realm="api"'

    @pytest.mark.parametrize("token", ["", None, 7, "x" * 201])
    def test_with_a_malformed_body_is_422(self, api: Api, token: Any) -> None:
        refused = api.post("auth/refresh", {"refresh_token": token}, status=422)

        assert places(refused) == {"#/refresh_token"}


class TestLogout:
    def test_ends_the_session_of_the_token(self, api: Api, user: Caller) -> None:
        tokens = log_in(api, user.email, status=200)

        done = api.post("auth/logout", headers=bearer(tokens.json["access_token"]), status=204)

        assert done.data == b""
        refresh(api, tokens, status=401)

    def test_leaves_other_sessions_alone(self, api: Api, user: Caller) -> None:
        phone, laptop = log_in(api, user.email), log_in(api, user.email)
        api.post("auth/logout", headers=bearer(phone.json["access_token"]), status=204)

        refresh(api, laptop, status=200)

    def test_cannot_be_repeated_since_the_token_is_worth_nothing(
        self, api: Api, user: Caller
    ) -> None:
        api.post("auth/logout", by=user, status=204)
        api.post("auth/logout", by=user, status=401)

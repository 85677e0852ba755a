"""Passwords: what may be set, the same everywhere; and that a login tells nothing by its time."""

import itertools
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import update

from app.auth import login, login_throttle
from app.auth.models import Session
from app.config import ConfigError, Settings
from app.users import password_policy, passwords
from app.users.models import User
from app.users.passwords import hash_password
from tests import rows
from tests.api import PASSWORD, Api, Caller, bearer, places
from tests.auth.test_auth import log_in
from tests.conftest import Counter, MakeApp, on_sqlite
from tests.mail_server import receive

EMAIL, NAME = "lovelace@example.com", "Ada Byron"

COMMON = ["passwordpassword", "123456789012345", "qwertyuiopasdfghjkl", "aaaaaaaaaaaaaaa",
          "PasswordPassword", "monkeymonkeymonkey", "iloveyou1234567"]  # fmt: skip
ABOUT_ITS_OWNER = ["lovelace@example.com", "LOVELACE@Example.com", "lovelacelovelace",
                   "ada byron ada byron", "AdaByron1815!!!", "lovelace1234567",
                   "flask-rest-reference", "FlaskRestReference1"]  # fmt: skip
FINE = ["correct horse battery staple", "byron wrote no programs", "password managers are good",
        "\U0001f511" * 15, "               ", "x" * 1024]  # fmt: skip


def register(api: Api, password: str, **kwargs: Any) -> Any:
    return api.post("users", {"email": EMAIL, "name": NAME, "password": password}, **kwargs)


def own(api: Api) -> Caller:
    """An account of that address and name, which has another password."""
    account = register(api, PASSWORD, status=201).json
    return api.sign_in(Caller(account["id"], EMAIL, "user", {}))


def by_registering(app: Flask, password: str) -> str:
    answer = register(Api(app), password)
    return answer.json["errors"][0]["detail"] if answer.status_code == 422 else ""


def by_changing(app: Flask, password: str) -> str:
    api = Api(app)
    me = log_in_as_registered(api)
    body = {"current_password": PASSWORD, "new_password": password}
    answer = api.put("users/me/password", body, headers=me)
    return answer.json["errors"][0]["detail"] if answer.status_code == 422 else ""


def log_in_as_registered(api: Api) -> dict[str, str]:
    register(api, PASSWORD, status=201)
    token = log_in(api, EMAIL, status=200).json["access_token"]
    return {"Authorization": f"Bearer {token}"}


def by_resetting(app: Flask, password: str) -> str:
    api = Api(app)
    register(api, PASSWORD, status=201)
    with receive() as mailbox, pytest.MonkeyPatch.context() as there:
        there.setitem(app.config, "SMTP_URL", mailbox.url)
        api.post("auth/password/forgot", {"email": EMAIL}, status=202)
        body = {"token": mailbox.token, "new_password": password}
        answer = api.post("auth/password/reset", body)
    return answer.json["errors"][0]["detail"] if answer.status_code == 422 else ""


def by_command(app: Flask, password: str) -> str:
    command = ["users", "create-admin", EMAIL, "--name", NAME]
    done = app.test_cli_runner().invoke(args=command, env={"ADMIN_PASSWORD": password})
    return done.output.strip().removeprefix("Error: password: ") if done.exit_code else ""


WAYS = [by_registering, by_changing, by_resetting, by_command]
in_every_way = pytest.mark.parametrize("set_password", WAYS, ids=lambda way: way.__name__)
Way = Callable[[Flask, str], str]


class TestThePolicy:
    @in_every_way
    @pytest.mark.parametrize("password", COMMON)
    def test_refuses_common_passwords(self, app: Flask, set_password: Way, password: str) -> None:
        assert set_password(app, password) == "This password is too common."

    @in_every_way
    @pytest.mark.parametrize("password", ABOUT_ITS_OWNER)
    def test_refuses_what_says_only_whose_it_is(
        self, app: Flask, set_password: Way, password: str
    ) -> None:
        assert set_password(app, password) == (
            "Too similar to your e-mail address, name or the service name."
        )

    @in_every_way
    @pytest.mark.parametrize("password", ["fourteen chars", "\U0001f511" * 14])
    def test_refuses_short_ones(self, app: Flask, set_password: Way, password: str) -> None:
        assert set_password(app, password) == "Must have at least 15 characters."

    @in_every_way
    @pytest.mark.parametrize("password", FINE, ids=range(len(FINE)))
    def test_takes_whatever_else_there_is(
        self, api: Api, app: Flask, set_password: Way, password: str
    ) -> None:
        assert set_password(app, password) == ""
        log_in(api, EMAIL, password, status=200)

    @in_every_way
    def test_has_an_end(self, app: Flask, set_password: Way) -> None:
        assert "1024" in set_password(app, "x" * 1025)

    def test_names_other_members_that_fail_beside_the_password(self, api: Api) -> None:
        body = {"email": "no address", "name": NAME, "password": COMMON[0]}
        assert places(api.post("users", body, status=422)) == {"#/email", "#/password"}

    def test_knows_the_length_that_is_set(self, make_app: MakeApp) -> None:
        api = Api(make_app(password_min_length=8))
        register(api, "7 chars", status=422)
        register(api, "iloveyou", status=422)  # the list has short ones too
        register(api, "8 chars.", status=201)

    def test_cannot_be_set_below_eight_characters(self) -> None:
        with pytest.raises(ConfigError, match="PASSWORD_MIN_LENGTH must be at least 8"):
            Settings.from_env({"PASSWORD_MIN_LENGTH": "7"})


def test_a_password_typed_on_another_keyboard_is_the_same(api: Api) -> None:
    composed, decomposed = "cr\u00e8me br\u00fbl\u00e9e", "cre\u0300me bru\u0302le\u0301e"
    register(api, composed + " and tea", status=201)
    log_in(api, EMAIL, decomposed + " and tea", status=200)
    log_in(api, EMAIL, "creme brulee and tea", status=401)
    log_in(api, EMAIL, composed + " AND TEA", status=401)


def test_the_list_is_small_and_says_where_it_is_from() -> None:
    assert password_policy.COMMON_PASSWORDS_FILE.stat().st_size < 300_000
    entries = password_policy.COMMON_PASSWORDS_FILE.read_text().splitlines()
    assert entries == sorted(set(entries))
    assert all(entry == entry.casefold() and len(entry) >= 8 for entry in entries)
    assert sum(len(entry) >= 15 for entry in entries) > 5000
    licence = password_policy.COMMON_PASSWORDS_FILE.with_name(
        "common_passwords.LICENSE"
    ).read_text()
    assert "zxcvbn-ts" in licence
    assert "Permission is hereby granted" in licence


def test_looking_a_password_up_takes_no_time(app: Flask) -> None:
    with app.app_context():
        password_policy.password_error("the first one reads the list")
        began = time.thread_time()
        for _ in range(100):
            password_policy.password_error("x" * 1024, EMAIL, "a" * 100)
        assert (time.thread_time() - began) / 100 < 0.005


@on_sqlite
def test_no_more_passwords_are_hashed_at_a_time_than_there_are_cores(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = itertools.count(), [0]
    now_running: set[int] = set()

    class Watched(PasswordHasher):
        def verify(self, stored: Any, password: Any) -> Any:
            number = next(running)
            now_running.add(number)
            most[0] = max(most[0], len(now_running))
            try:
                return super().verify(stored, password)
            finally:
                now_running.discard(number)

    monkeypatch.setattr(passwords, "_hasher", Watched(2, 19 * 1024, 1))
    limit = passwords._hash_slots._initial_value
    guesses = [lambda n=n: log_in(api, f"nobody{n}@example.com") for n in range(3 * limit + 3)]
    assert {answer.status_code for answer in rows.at_once(*guesses)} == {401}
    assert most[0] == limit


# --- a login tells nothing ---------------------------------------------------------------------

ROUNDS = 25
TOLERANCE = 0.1  # two in a hundred is what is seen; a hash left out is ten times as much or more


class TestLoginTellsNothing:
    """By the work that it does: unknown address, wrong password and disabled account alike.

    Work is measured as the processor time of this thread, in turns, so that a loaded machine slows
    all of them down alike; the waits for the database are counted as statements.
    """

    @pytest.fixture
    def guesses(
        self, api: Api, app: Flask, user: Caller, other: Caller, monkeypatch: pytest.MonkeyPatch
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
        """How much more the dearest takes than the cheapest, by their medians."""
        times: dict[str, list[float]] = {name: [] for name in guesses}
        for turn in range(ROUNDS + 1):
            for name, guess in guesses.items():
                began = time.thread_time()
                guess()
                if turn:  # the first one warms up
                    times[name].append(time.thread_time() - began)
        medians = [median(each) for each in times.values()]
        return max(medians) / min(medians) - 1

    def test_by_its_time(self, guesses: dict[str, Callable[[], Any]]) -> None:
        assert self.spread(guesses) < TOLERANCE

    def test_by_its_time_which_this_would_notice(
        self, guesses: dict[str, Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The measurement is worth something: it sees a hash that is left out."""
        honest = passwords.verify_password
        monkeypatch.setattr(
            login,
            "verify_password",
            lambda stored, password: stored is not None and honest(stored, password),
        )
        assert self.spread(guesses) > 5 * TOLERANCE

    def test_by_its_hashes_and_statements(
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


def test_a_password_that_is_replaced_during_a_login_begins_no_session(
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


def test_a_session_does_not_follow_those_that_a_new_password_is_ending(
    api: Api, app: Flask, user: Caller
) -> None:
    replace = update(User).where(User.id == user.id).values(password_hash=hash_password("another"))
    [refused] = rows.held_up(app, replace, lambda: log_in(api, user.email))

    assert refused.status_code == 401
    assert rows.count(app, Session, owner_id=user.id) == 1  # that of the fixture
    assert rows.read(app, login_throttle.LoginAttempts.failures) == [1, 1]  # nothing is forgiven


def test_a_login_that_finds_its_user_changed_looks_again(
    api: Api, app: Flask, user: Caller
) -> None:
    promote = update(User).where(User.id == user.id).values(role="editor")
    [tokens] = rows.held_up(app, promote, lambda: log_in(api, user.email))

    assert tokens.status_code == 200
    api.get("users/me", headers=bearer(tokens.json["access_token"]), status=200)

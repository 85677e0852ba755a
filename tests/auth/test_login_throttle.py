"""Throttling: guessing at one account slows down, for everybody but its owner."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.auth import login_throttle, service
from app.auth.login_throttle import LoginAttempts
from app.core.database.types import now
from app.extensions import db
from app.users import passwords
from tests import rows
from tests.api import PASSWORD, Api, Caller
from tests.auth.test_auth import answer_of
from tests.conftest import MakeApp, on_sqlite, own_server
from tests.mail_server import receive

HOME, OFFICE = "192.0.2.10", "198.51.100.20"
WRONG = "not the password"


def log_in(
    api: Api, email: str, password: str = PASSWORD, address: str = HOME, **kwargs: Any
) -> TestResponse:
    body = {"email": email, "password": password}
    return api.post("auth/login", body, environ_overrides={"REMOTE_ADDR": address}, **kwargs)


def guess(api: Api, email: str, times: int, address: str = HOME) -> list[int]:
    return [log_in(api, email, WRONG, address).status_code for _ in range(times)]


def far_away() -> Iterator[str]:
    """Addresses of many networks."""
    return (f"203.0.{n // 250}.{n % 250 + 1}" for n in range(10_000))


def let_time_pass(app: Flask, by: timedelta) -> None:
    """All that the counters know of is longer ago."""
    with app.app_context():
        for row in db.session.scalars(select(LoginAttempts)).all():
            row.retry_at -= by
            row.trusted_until -= by
            row.expires_at -= by
        db.session.commit()


def failures(app: Flask, address: str) -> list[int]:
    return rows.read(app, LoginAttempts.failures, ip_address=address)


@pytest.fixture
def few(no_time_passes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few failures are free, so that a test needs few: 3 from an address, 10 from all."""
    monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ADDRESS", 3)
    monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ACCOUNT", 10)


class TestFromOneAddress:
    def test_ten_failures_are_free_and_then_one_waits(
        self, api: Api, user: Caller, no_time_passes: None
    ) -> None:
        assert guess(api, user.email, 11) == [401] * 10 + [429]

    def test_a_wait_is_told_and_ends(self, api: Api, app: Flask, user: Caller, few: None) -> None:
        guess(api, user.email, 3)
        refused = log_in(api, user.email, status=429)
        assert refused.json["type"] == "/problems/too-many-requests"
        assert refused.headers["Retry-After"] == "1"
        let_time_pass(app, timedelta(seconds=1))
        log_in(api, user.email, status=200)

    def test_each_wait_is_twice_as_long_up_to_a_quarter_of_an_hour(
        self, api: Api, app: Flask, user: Caller, few: None
    ) -> None:
        guess(api, user.email, 2)
        waits = []
        for _ in range(13):
            assert guess(api, user.email, 2) == [401, 429]
            wait = int(log_in(api, user.email, status=429).headers["Retry-After"])
            waits.append(wait)
            let_time_pass(app, timedelta(seconds=wait))
        assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]

    def test_who_waits_is_not_looked_at_and_does_not_wait_longer_for_it(
        self, api: Api, app: Flask, user: Caller, few: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        guess(api, user.email, 3)
        before = failures(app, HOME)
        monkeypatch.setattr(PasswordHasher, "verify", lambda *_: pytest.fail("was looked at"))
        assert guess(api, user.email, 5) == [429] * 5
        assert failures(app, HOME) == before == [3]

    def test_a_success_resets(self, api: Api, app: Flask, user: Caller, few: None) -> None:
        for _ in range(4):
            guess(api, user.email, 2)
            log_in(api, user.email, status=200)
        assert failures(app, HOME) == failures(app, "") == [0]

    def test_failures_are_forgotten_after_a_day(
        self, api: Api, app: Flask, user: Caller, few: None
    ) -> None:
        guess(api, user.email, 3)
        let_time_pass(app, timedelta(days=1, seconds=2))
        assert guess(api, user.email, 3) == [401] * 3

    def test_other_accounts_do_not_wait(
        self, api: Api, user: Caller, other: Caller, few: None
    ) -> None:
        guess(api, user.email, 4)
        log_in(api, other.email, status=200)

    def test_the_case_of_the_account_makes_no_other(
        self, api: Api, user: Caller, few: None
    ) -> None:
        guess(api, user.email, 3)
        log_in(api, user.email.upper(), status=429)

    @pytest.mark.parametrize(
        ("one", "two", "status"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 429),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", 200),
            ("192.0.2.1", "::ffff:192.0.2.1", 429),
            ("192.0.2.1", "192.0.2.2", 200),
            ("", "", 429),
        ],
    )
    def test_an_address_is_what_one_subscriber_has(
        self, api: Api, user: Caller, few: None, one: str, two: str, status: int
    ) -> None:
        guess(api, user.email, 3, one)
        log_in(api, user.email, address=two, status=status)

    def test_guessing_at_the_present_password_counts_too(
        self, api: Api, app: Flask, user: Caller, few: None
    ) -> None:
        body = {"current_password": WRONG, "new_password": "another long enough password"}
        at_home = {"environ_overrides": {"REMOTE_ADDR": HOME}, "by": user}
        for status in (422, 422, 422, 429):
            api.put("users/me/password", body, status=status, **at_home)
        log_in(api, user.email, status=429)
        let_time_pass(app, timedelta(seconds=1))
        api.put("users/me/password", body | {"current_password": PASSWORD}, status=204, **at_home)
        assert failures(app, HOME) == [0]


class TestTheOwner:
    def test_is_not_locked_out_by_one_who_guesses_elsewhere(
        self, api: Api, user: Caller, few: None
    ) -> None:
        guess(api, user.email, 9, OFFICE)
        log_in(api, user.email, address=HOME, status=200)

    def test_is_not_locked_out_by_many_where_they_logged_in_before(
        self, api: Api, user: Caller, few: None
    ) -> None:
        log_in(api, user.email, address=HOME, status=200)
        addresses = far_away()
        for _ in range(15):
            guess(api, user.email, 1, next(addresses))
        log_in(api, user.email, address=next(addresses), status=429)

        log_in(api, user.email, address=HOME, status=200)

    def test_stays_logged_in(self, api: Api, user: Caller, few: None) -> None:
        addresses = far_away()
        for _ in range(15):
            guess(api, user.email, 1, next(addresses))
        api.get("users/me", by=user, status=200)

    def test_is_known_where_they_were_for_as_long_as_a_session_lasts(
        self, api: Api, app: Flask, user: Caller, few: None
    ) -> None:
        log_in(api, user.email, address=HOME, status=200)
        let_time_pass(app, timedelta(days=app.config["REFRESH_TOKEN_DAYS"], seconds=1))
        addresses = far_away()
        for _ in range(10):
            guess(api, user.email, 1, next(addresses))
        log_in(api, user.email, address=HOME, status=429)

    def test_gets_in_by_mail_from_wherever_they_are(
        self, api: Api, app: Flask, user: Caller, few: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        addresses = far_away()
        for _ in range(10):
            guess(api, user.email, 1, next(addresses))
        log_in(api, user.email, address=OFFICE, status=429)
        there = {"environ_overrides": {"REMOTE_ADDR": OFFICE}}
        with receive() as mailbox:
            monkeypatch.setitem(app.config, "SMTP_URL", mailbox.url)
            forgotten = {"email": user.email}
            api.post("auth/password/forgot", forgotten, status=202, **there)
            new = {"token": mailbox.token, "new_password": "another long enough password"}
            api.post("auth/password/reset", new, status=204, **there)
        for _ in range(12):
            guess(api, user.email, 1, next(addresses))
        log_in(api, user.email, new["new_password"], OFFICE, status=200)


class TestFromManyAddresses:
    def test_a_hundred_failures_are_free_and_no_more(self) -> None:
        assert login_throttle.MAX_FAILURES_PER_ACCOUNT == 100

    def test_guesses_at_one_account_are_slowed_down(
        self, api: Api, user: Caller, few: None
    ) -> None:
        addresses = far_away()
        answers = [guess(api, user.email, 1, next(addresses))[0] for _ in range(12)]
        assert answers == [401] * 10 + [429] * 2

    def test_one_at_a_time_goes_on_when_the_wait_is_over(
        self, api: Api, app: Flask, user: Caller, few: None
    ) -> None:
        addresses = far_away()
        for _ in range(10):
            guess(api, user.email, 1, next(addresses))
        let_time_pass(app, timedelta(seconds=1))
        assert [guess(api, user.email, 1, next(addresses)) for _ in range(2)] == [[401], [429]]

    def test_a_refused_address_leaves_no_trace(
        self, api: Api, app: Flask, user: Caller, few: None
    ) -> None:
        addresses = far_away()
        for _ in range(10):
            guess(api, user.email, 1, next(addresses))
        before = rows.count(app, LoginAttempts)
        log_in(api, user.email, address=OFFICE, status=429)
        assert rows.count(app, LoginAttempts) == before == 11


def test_one_address_that_tries_many_accounts_is_slowed_down(make_app: MakeApp) -> None:
    api = Api(make_app(login_rate_limit="5 per hour"))
    answers = [guess(api, f"user{n}@example.com", 1)[0] for n in range(7)]
    assert answers == [401] * 5 + [429] * 2


def test_an_account_that_does_not_exist_is_slowed_down_alike(
    api: Api, user: Caller, few: None
) -> None:
    addresses = far_away()
    steps = [HOME] * 5 + [next(addresses) for _ in range(9)]
    told = []
    for email in (user.email, "nobody@example.com"):
        answers = [log_in(api, email, WRONG, address) for address in steps]
        told.append([(answer_of(a), a.headers.get("Retry-After")) for a in answers])
    assert told[0] == told[1]
    assert {status for (status, *_), _ in told[0]} == {401, 429}


class TestTheCounters:
    def test_count_each_of_fifty_guesses_at_the_same_moment(
        self, api: Api, app: Flask, user: Caller
    ) -> None:
        guesses = [
            lambda address=address: log_in(api, user.email, WRONG, address)
            for address, _ in zip(far_away(), range(50), strict=False)
        ]
        answers = rows.at_once(*guesses)

        assert {answer.status_code for answer in answers} == {401}
        assert failures(app, "") == [50]

    def test_let_no_more_than_is_free_pass_at_the_same_moment(
        self, api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(login_throttle, "MAX_BACKOFF", timedelta(hours=1))
        answers = rows.at_once(*[lambda: log_in(api, user.email, WRONG)] * 50)

        statuses = sorted(answer.status_code for answer in answers)
        assert statuses.count(401) + statuses.count(429) == 50
        # A wait of a second may be over before the last of them comes.
        assert 10 <= statuses.count(401) <= 12
        assert failures(app, HOME) == failures(app, "") == [statuses.count(401)]

    def test_belong_to_all_workers(
        self, api: Api, make_app: MakeApp, user: Caller, few: None
    ) -> None:
        guess(api, user.email, 3)
        log_in(Api(make_app()), user.email, status=429)

    def test_survive_a_redis_that_is_emptied_and_gone(
        self, make_app: MakeApp, user: Caller, few: None
    ) -> None:
        with own_server("redis") as url:
            api = Api(make_app(redis_url=url))
            guess(api, user.email, 3)
            log_in(api, user.email, status=429)
        log_in(api, user.email, status=429)

    def test_do_not_keep_what_was_typed(self, api: Api, app: Flask, few: None) -> None:
        log_in(api, "secret@example.com", WRONG, status=401)
        with app.app_context():
            stored = str(db.session.execute(select(LoginAttempts.__table__)).all())
        assert "secret" not in stored
        assert HOME in stored

    def test_are_purged_when_their_time_is_over(
        self, api: Api, app: Flask, user: Caller, other: Caller
    ) -> None:
        log_in(api, other.email, status=200)  # known for a month
        guess(api, "nobody@example.com", 3)
        let_time_pass(app, timedelta(days=2))
        guess(api, user.email, 1)
        with app.app_context():
            assert login_throttle.purge_login_attempts() > 0
        kept = rows.read(app, LoginAttempts.ip_address)
        assert sorted(kept) == ["", HOME, HOME]

    @on_sqlite
    def test_go_nowhere_near_the_password_while_they_are_locked(
        self, api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No transaction is open during a hash; on SQLite it would keep all others from writing."""

        def verify(stored: str | None, password: str) -> bool:
            with app.app_context():
                db.session.execute(update(LoginAttempts).values(expires_at=now()))
                db.session.commit()
            return passwords.verify_password(stored, password)

        monkeypatch.setattr(service, "verify_password", verify)
        log_in(api, user.email, status=200)

"""Login throttling, by account and address."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.auth import login, login_throttle
from app.auth.login_throttle import LoginAttempts
from app.core.database.types import now
from app.extensions import db
from app.users import passwords
from tests import rows
from tests.api import PASSWORD, Api, Caller, comparable_response
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


def many_addresses() -> Iterator[str]:
    """Addresses of many networks."""
    return (f"203.0.{n // 250}.{n % 250 + 1}" for n in range(10_000))


def age_counters(app: Flask, by: timedelta) -> None:
    """Move all times of the counters into the past."""
    with app.app_context():
        for row in db.session.scalars(select(LoginAttempts)).all():
            row.retry_at -= by
            row.trusted_until -= by
            row.expires_at -= by
        db.session.commit()


def failures(app: Flask, address: str) -> list[int]:
    return rows.read(app, LoginAttempts.failures, ip_address=address)


@pytest.fixture
def few(frozen_throttle_clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttle after 3 failures from an address, and 10 from all."""
    monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ADDRESS", 3)
    monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ACCOUNT", 10)


def test_eleventh_failure_from_one_address_is_429(
    api: Api, user: Caller, frozen_throttle_clock: None
) -> None:
    assert guess(api, user.email, 11) == [401] * 10 + [429]


def test_throttled_login_has_retry_after_and_succeeds_after_it(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    guess(api, user.email, 3)
    refused = log_in(api, user.email, status=429)
    assert refused.json["type"] == "/problems/too-many-requests"
    assert refused.headers["Retry-After"] == "1"
    age_counters(app, timedelta(seconds=1))
    log_in(api, user.email, status=200)


def test_backoff_doubles_up_to_15_minutes(api: Api, app: Flask, user: Caller, few: None) -> None:
    guess(api, user.email, 2)
    waits = []
    for _ in range(13):
        assert guess(api, user.email, 2) == [401, 429]
        wait = int(log_in(api, user.email, status=429).headers["Retry-After"])
        waits.append(wait)
        age_counters(app, timedelta(seconds=wait))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_throttled_attempt_verifies_no_password_and_is_not_counted(
    api: Api, app: Flask, user: Caller, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    guess(api, user.email, 3)
    before = failures(app, HOME)
    monkeypatch.setattr(PasswordHasher, "verify", lambda *_: pytest.fail("was looked at"))
    assert guess(api, user.email, 5) == [429] * 5
    assert failures(app, HOME) == before == [3]


def test_successful_login_resets_the_failures(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    for _ in range(4):
        guess(api, user.email, 2)
        log_in(api, user.email, status=200)
    assert failures(app, HOME) == failures(app, "") == [0]


def test_failures_expire_after_a_day(api: Api, app: Flask, user: Caller, few: None) -> None:
    guess(api, user.email, 3)
    age_counters(app, timedelta(days=1, seconds=2))
    assert guess(api, user.email, 3) == [401] * 3


def test_throttled_account_does_not_affect_other_accounts(
    api: Api, user: Caller, other: Caller, few: None
) -> None:
    guess(api, user.email, 4)
    log_in(api, other.email, status=200)


def test_throttle_ignores_the_case_of_the_address(api: Api, user: Caller, few: None) -> None:
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
def test_throttle_counts_by_client_network(
    api: Api, user: Caller, few: None, one: str, two: str, status: int
) -> None:
    guess(api, user.email, 3, one)
    log_in(api, user.email, address=two, status=status)


def test_failed_password_changes_count_as_failed_logins(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    body = {"current_password": WRONG, "new_password": "another long enough password"}
    at_home = {"environ_overrides": {"REMOTE_ADDR": HOME}, "by": user}
    for status in (422, 422, 422, 429):
        api.put("users/me/password", body, status=status, **at_home)
    log_in(api, user.email, status=429)
    age_counters(app, timedelta(seconds=1))
    api.put("users/me/password", body | {"current_password": PASSWORD}, status=204, **at_home)
    assert failures(app, HOME) == [0]


def test_owner_is_not_locked_out_by_failures_from_another_address(
    api: Api, user: Caller, few: None
) -> None:
    guess(api, user.email, 9, OFFICE)
    log_in(api, user.email, address=HOME, status=200)


def test_owner_is_not_locked_out_at_a_known_address_by_failures_from_many(
    api: Api, user: Caller, few: None
) -> None:
    log_in(api, user.email, address=HOME, status=200)
    addresses = many_addresses()
    for _ in range(15):
        guess(api, user.email, 1, next(addresses))
    log_in(api, user.email, address=next(addresses), status=429)
    log_in(api, user.email, address=HOME, status=200)


def test_session_of_a_throttled_account_stays_valid(api: Api, user: Caller, few: None) -> None:
    addresses = many_addresses()
    for _ in range(15):
        guess(api, user.email, 1, next(addresses))
    api.get("users/me", by=user, status=200)


def test_known_address_expires_with_the_maximum_age_of_a_session(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    log_in(api, user.email, address=HOME, status=200)
    age_counters(app, timedelta(days=app.config["REFRESH_TOKEN_DAYS"], seconds=1))
    addresses = many_addresses()
    for _ in range(10):
        guess(api, user.email, 1, next(addresses))
    log_in(api, user.email, address=HOME, status=429)


def test_password_reset_ends_throttling_at_its_address(
    api: Api, app: Flask, user: Caller, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = many_addresses()
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


def test_account_is_throttled_after_100_failures() -> None:
    assert login_throttle.MAX_FAILURES_PER_ACCOUNT == 100


def test_failures_from_many_addresses_throttle_the_account(
    api: Api, user: Caller, few: None
) -> None:
    addresses = many_addresses()
    answers = [guess(api, user.email, 1, next(addresses))[0] for _ in range(12)]
    assert answers == [401] * 10 + [429] * 2


def test_one_attempt_from_many_addresses_passes_after_each_backoff(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    addresses = many_addresses()
    for _ in range(10):
        guess(api, user.email, 1, next(addresses))
    age_counters(app, timedelta(seconds=1))
    assert [guess(api, user.email, 1, next(addresses)) for _ in range(2)] == [[401], [429]]


def test_throttled_attempt_stores_no_row_for_its_address(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    addresses = many_addresses()
    for _ in range(10):
        guess(api, user.email, 1, next(addresses))
    before = rows.count(app, LoginAttempts)
    log_in(api, user.email, address=OFFICE, status=429)
    assert rows.count(app, LoginAttempts) == before == 11


def test_failures_from_one_address_at_many_accounts_are_rate_limited(make_app: MakeApp) -> None:
    api = Api(make_app(login_rate_limit="5 per hour"))
    answers = [guess(api, f"user{n}@example.com", 1)[0] for n in range(7)]
    assert answers == [401] * 5 + [429] * 2


def test_throttle_does_not_reveal_whether_account_exists(api: Api, user: Caller, few: None) -> None:
    addresses = many_addresses()
    steps = [HOME] * 5 + [next(addresses) for _ in range(9)]
    responses = []
    for email in (user.email, "nobody@example.com"):
        answers = [log_in(api, email, WRONG, address) for address in steps]
        responses.append([(comparable_response(a), a.headers.get("Retry-After")) for a in answers])
    assert responses[0] == responses[1]
    assert {status for (status, *_), _ in responses[0]} == {401, 429}


@pytest.mark.usefixtures("shipped_hasher")
def test_fifty_parallel_failures_from_many_addresses_are_all_counted(
    api: Api, app: Flask, user: Caller
) -> None:
    guesses = [
        lambda address=address: log_in(api, user.email, WRONG, address)
        for address, _ in zip(many_addresses(), range(50), strict=False)
    ]
    answers = rows.in_parallel(*guesses)
    assert {answer.status_code for answer in answers} == {401}
    assert failures(app, "") == [50]


@pytest.mark.usefixtures("shipped_hasher")
def test_parallel_failures_from_one_address_pass_no_more_than_the_limit(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_throttle, "MAX_BACKOFF", timedelta(hours=1))
    answers = rows.in_parallel(*[lambda: log_in(api, user.email, WRONG)] * 50)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(401) + statuses.count(429) == 50
    # The first backoff of one second can end before the last request.
    assert 10 <= statuses.count(401) <= 12
    assert failures(app, HOME) == failures(app, "") == [statuses.count(401)]


@pytest.mark.usefixtures("shipped_hasher")
def test_fourteen_parallel_correct_logins_from_one_address_succeed(
    make_app: MakeApp, user: Caller
) -> None:
    app = make_app(login_rate_limit="10 per minute")
    answers = rows.in_parallel(*[lambda: log_in(Api(app), user.email)] * 14)
    assert [answer.status_code for answer in answers] == [200] * 14
    assert failures(app, HOME) == failures(app, "") == [0]
    assert rows.read(app, LoginAttempts.pending) == [0, 0]


def test_successful_logins_do_not_use_up_the_limit_of_failures(
    make_app: MakeApp, user: Caller
) -> None:
    api = Api(make_app(login_rate_limit="3 per hour"))
    for _ in range(5):
        log_in(api, user.email, status=200)
    assert guess(api, user.email, 4) == [401] * 3 + [429]
    log_in(api, user.email, status=429)


@pytest.mark.usefixtures("shipped_hasher")
def test_correct_login_beside_parallel_failures_beyond_the_limit_is_no_way_in(
    api: Api, app: Flask, user: Caller, few: None
) -> None:
    answers = rows.in_parallel(*[lambda: log_in(api, user.email, WRONG)] * 20)
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) == 3
    assert statuses.count(429) == 17
    assert rows.read(app, LoginAttempts.pending) == [0, 0]


def test_throttle_counters_are_shared_by_all_processes(
    api: Api, make_app: MakeApp, user: Caller, few: None
) -> None:
    guess(api, user.email, 3)
    log_in(Api(make_app()), user.email, status=429)


def test_throttle_counters_do_not_depend_on_redis(
    make_app: MakeApp, user: Caller, few: None
) -> None:
    with own_server("redis") as url:
        api = Api(make_app(redis_url=url))
        guess(api, user.email, 3)
        log_in(api, user.email, status=429)
    log_in(api, user.email, status=429)


def test_throttle_counters_do_not_store_the_account(api: Api, app: Flask, few: None) -> None:
    log_in(api, "secret@example.com", WRONG, status=401)
    with app.app_context():
        stored = str(db.session.execute(select(LoginAttempts.__table__)).all())
    assert "secret" not in stored
    assert HOME in stored


def test_expired_throttle_counters_are_purged(
    api: Api, app: Flask, user: Caller, other: Caller
) -> None:
    log_in(api, other.email, status=200)  # trusted for 30 days
    guess(api, "nobody@example.com", 3)
    age_counters(app, timedelta(days=2))
    guess(api, user.email, 1)
    with app.app_context():
        assert login_throttle.purge_login_attempts() > 0
    kept = rows.read(app, LoginAttempts.ip_address)
    assert sorted(kept) == ["", HOME, HOME]


@on_sqlite
def test_throttle_counters_are_not_locked_while_a_password_is_verified(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction during the hash would block all other writes on SQLite."""

    def verify(stored: str | None, password: str) -> bool:
        with app.app_context():
            db.session.execute(update(LoginAttempts).values(expires_at=now()))
            db.session.commit()
        return passwords.verify_password(stored, password)

    monkeypatch.setattr(login, "verify_password", verify)
    log_in(api, user.email, status=200)

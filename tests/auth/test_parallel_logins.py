"""Login throttling of parallel attempts, and its rows."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.auth import login, login_throttle
from app.auth.login_throttle import LoginAttempts
from app.core.database.types import now
from app.extensions import db
from app.users import passwords
from tests import rows
from tests.api import Api, Caller
from tests.auth.guesses import HOME, WRONG, age_counters, failures, guess, log_in, many_addresses
from tests.conftest import MakeApp, on_sqlite, own_server


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

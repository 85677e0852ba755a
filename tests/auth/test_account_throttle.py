"""Login throttling of an account: failures from many addresses."""

from datetime import timedelta

import pytest
from flask import Flask

from app.auth import login_throttle
from app.auth.login_throttle import LoginAttempts
from tests import rows
from tests.api import Api, Caller, comparable_response
from tests.auth.guesses import HOME, OFFICE, WRONG, age_counters, guess, log_in, many_addresses
from tests.mail_server import receive


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


def test_throttle_does_not_reveal_whether_account_exists(api: Api, user: Caller, few: None) -> None:
    addresses = many_addresses()
    steps = [HOME] * 5 + [next(addresses) for _ in range(9)]
    responses = []
    for email in (user.email, "nobody@example.com"):
        answers = [log_in(api, email, WRONG, address) for address in steps]
        responses.append([(comparable_response(a), a.headers.get("Retry-After")) for a in answers])
    assert responses[0] == responses[1]
    assert {status for (status, *_), _ in responses[0]} == {401, 429}

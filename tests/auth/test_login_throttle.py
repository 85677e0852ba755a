"""Login throttling of one address: limits, waits, networks."""

from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from flask import Flask

from tests.api import PASSWORD, Api, Caller
from tests.auth.guesses import HOME, WRONG, age_counters, failures, guess, log_in
from tests.conftest import MakeApp


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


def test_failures_from_one_address_at_many_accounts_are_rate_limited(make_app: MakeApp) -> None:
    api = Api(make_app(login_rate_limit="5 per hour"))
    answers = [guess(api, f"user{n}@example.com", 1)[0] for n in range(7)]
    assert answers == [401] * 5 + [429] * 2

"""The number of SQL statements of the requests that exchange a secret for something."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from app.auth.accounts import address_verified, credentials_revoked
from app.auth.second_factors import second_factor_due
from tests.api import PASSWORD
from tests.auth.login import log_in, refresh
from tests.auth.mailing import ADA, Mailing
from tests.auth.test_cookies import Browser
from tests.auth.test_email_change import NEW, confirm, request_change, token_to
from tests.conftest import statements
from tests.contract.test_queries import EXCHANGES
from tests.mail_server import Mailbox

ACCOUNT = {"email": ADA["email"], "password": PASSWORD}
Request = Callable[[], Any]


def requests(mailing: Mailing, mailbox: Mailbox) -> dict[str, Callable[[], Request]]:
    """For each endpoint, what prepares its request; the request is returned."""
    browser, email = Browser(mailing.app), ACCOUNT["email"]

    def after_log_in_with_cookies() -> Request:
        browser.log_in(email, status=200)
        return partial(browser.post, "auth/cookies/refresh", status=200)

    def after_forgetting() -> Request:
        mailing.forgot(email, status=202)
        return partial(mailing.reset, mailbox.token, status=204)

    def after_the_first_confirmation() -> Request:
        user = mailing.sign_up("user")
        request_change(mailing, user)
        confirm(mailing, token_to(mailbox, user.email), 204)
        return partial(confirm, mailing, token_to(mailbox, NEW), 204)

    def on_a_known_device() -> Request:
        log_in(mailing, email, status=200)
        return partial(log_in, mailing, email, status=200)

    def on_a_known_browser() -> Request:
        browser.log_in(email, status=200)
        browser.post("auth/logout", status=204)
        return partial(browser.log_in, email, status=200)

    return {
        "auth.log_in": on_a_known_device,
        "auth.log_in_with_cookies": on_a_known_browser,
        "auth.refresh": lambda: partial(refresh, mailing, log_in(mailing, email), status=200),
        "auth.refresh_cookies": after_log_in_with_cookies,
        "auth.verify_email": lambda: partial(mailing.verify, mailbox.token, status=204),
        "auth.confirm_email_change": after_the_first_confirmation,
        "auth.reset_password": after_forgetting,
    }


@pytest.mark.parametrize("endpoint", [e for e in EXCHANGES if e.startswith("auth.")])
def test_exchange_executes_at_most_the_declared_number_of_statements(
    mailing: Mailing, mailbox: Mailbox, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing.register()
    request = requests(mailing, mailbox)[endpoint]()
    monkeypatch.setattr(mailing.app.extensions["jobs"], "send", lambda job_id: None)
    # Without those of the features that listen.
    signals = (address_verified, credentials_revoked, second_factor_due)
    with ExitStack() as muted, statements(mailing.app) as sent:
        for signal in signals:
            muted.enter_context(signal.muted())
        request()
    executed = len([sql for sql in sent if sql != "BEGIN IMMEDIATE"])
    declared = mailing.app.view_functions[endpoint].operation.queries  # type: ignore[attr-defined]
    assert 0 < executed <= declared, (executed, sent)
    # begin audit jobs
    # With those that write audit events; PostgreSQL executes some of them as one.
    on_sqlite = mailing.app.config["DATABASE_URL"].startswith("sqlite")
    assert executed == declared or not on_sqlite, (executed, sent)
    # end audit jobs

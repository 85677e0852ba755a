"""Fixtures of the tests of auth."""

from collections.abc import Iterator

import pytest

from app.auth import login_throttle
from tests.auth.mailing import Mailing
from tests.conftest import MakeApp
from tests.mail_server import Mailbox, receive


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """The mailbox of a running mail server."""
    with receive() as box:
        yield box


@pytest.fixture
def mailing(make_app: MakeApp, mailbox: Mailbox) -> Mailing:
    return Mailing(make_app(smtp_url=mailbox.url, public_url="https://app.example.com/"))


@pytest.fixture
def few(frozen_throttle_clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Throttle after 3 failures from an address, and 10 from all."""
    monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ADDRESS", 3)
    monkeypatch.setattr(login_throttle, "MAX_FAILURES_PER_ACCOUNT", 10)

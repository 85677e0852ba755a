"""Fixtures of the tests of auth."""

from collections.abc import Iterator

import pytest

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

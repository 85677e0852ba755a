"""Fixtures of the tests of second factors."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.auth.conftest import mailbox, mailing
from tests.mfa.authenticator import CLOCK, App, Members

__all__ = ["mailbox", "mailing"]  # fixtures of auth


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    CLOCK.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.mfa.totp.now", CLOCK.now)
        yield


@pytest.fixture
def members(app: Flask) -> Members:
    """Users with and without second factors."""
    return Members(app)


@pytest.fixture
def enrolled(members: Members) -> App:
    """The authenticator app of a user who has confirmed it."""
    return members.enrol(members.sign_up())

"""Fixtures of the tests of second factors."""

import pytest
from flask import Flask

from tests.auth.conftest import mailbox, mailing
from tests.mfa.authenticator import App, Members

__all__ = ["mailbox", "mailing"]  # fixtures of auth


@pytest.fixture
def members(app: Flask) -> Members:
    """Users with and without second factors."""
    return Members(app)


@pytest.fixture
def enrolled(members: Members) -> App:
    """The authenticator app of a user who has confirmed it."""
    return members.enrol(members.sign_up())

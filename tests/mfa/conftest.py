"""Fixtures of the tests of second factors."""

import pytest
from flask import Flask

from tests.mfa.authenticator import App, Members


@pytest.fixture
def members(app: Flask) -> Members:
    """Users with and without second factors."""
    return Members(app)


@pytest.fixture
def enrolled(members: Members) -> App:
    """The authenticator app of a user who has confirmed it."""
    return members.enrol(members.sign_up())

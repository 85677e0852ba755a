"""Fixtures of the generated tests."""

import pytest
from flask import Flask

from tests.contract.operations import World


@pytest.fixture
def world(app: Flask) -> World:
    """An application with callers of every kind."""
    return World(app)

"""Fixtures of the generated tests."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.contract.operations import World


@pytest.fixture
def world(app: Flask) -> Iterator[World]:
    """An application with callers of every kind, whose jobs nobody does: they stay as they are."""
    send = app.extensions["send_job"]
    app.extensions["send_job"] = lambda job_id: None
    yield World(app)
    app.extensions["send_job"] = send

"""Fixtures of the generated tests."""

from collections.abc import Iterator

import pytest
from flask import Flask

from tests.contract.world import World


@pytest.fixture
def world(app: Flask) -> Iterator[World]:
    """An application with callers of every role, whose jobs stay queued."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.extensions["jobs"], "send", lambda job_id: None)
        yield World(app)

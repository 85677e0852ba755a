"""Fixtures of the tests of `core.web`."""

from typing import Any

import pytest

from tests.api import Api
from tests.conftest import MakeApp
from tests.core.web.rate_limits import MakeApi


@pytest.fixture
def limited(make_app: MakeApp) -> MakeApi:
    """`limited("3 per hour")` creates another application with this general limit."""

    def make(limit: str, **settings: Any) -> Api:
        patient = {"redis_timeout_ms": 10_000}  # so that a slow Redis is no failure
        return Api(make_app(rate_limit=limit, **patient | settings))

    return make

"""Fixtures of the tests of deploy."""

from collections.abc import Iterator

import pytest

from tests.deploy.cached_service import CachedService, _numbers, cached_service


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CachedService]:
    with cached_service(tmp_path_factory.mktemp("public")) as site:
        yield site


@pytest.fixture
def path() -> str:
    """The path of a list that is not in the cache and has more than one page."""
    return f"articles?limit=5&price_min=0.{next(_numbers):04}"

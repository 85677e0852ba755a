"""Fixtures of the tests of server."""

from collections.abc import Iterator

import pytest

from tests.conftest import new_database
from tests.live import Live, serve
from tests.server.connections import HIGH_LIMITS, LIMIT


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """The service, shared by tests that leave it running."""
    folder = tmp_path_factory.mktemp("live")
    with new_database(request, request.param, folder) as url:
        settings = {"CACHE_DIR": str(folder / "cache"), "MAX_CONTENT_LENGTH": str(LIMIT)}
        with serve(url, **HIGH_LIMITS, **settings) as service:
            yield service


@pytest.fixture(scope="session")
def editor(live: Live) -> dict[str, str]:
    """The header fields of an editor."""
    return live.log_in()

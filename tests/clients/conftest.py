"""A running service for generated clients, and the npm tools that generate them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.commands import ROOT, run
from tests.live import Live, serve


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path)) as service:
        yield service


@pytest.fixture(scope="session")
def npm_tools() -> None:
    run(sys.executable, "dev.py", "npm-tools", where=ROOT)

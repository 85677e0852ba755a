"""A running service for generated clients, and the npm tools that generate them."""

import compileall
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests.clients.commands import ROOT, generate, run
from tests.live import Live, serve


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path)) as service:
        yield service


@pytest.fixture(scope="session")
def npm_tools() -> None:
    run(sys.executable, "dev.py", "npm-tools", where=ROOT)


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package; all of its modules are compiled, with warnings as errors."""
    root = tmp_path_factory.mktemp("openapi_generator")
    folder = generate("python", root, "--package-name", "openapi_generator_client")
    assert compileall.compile_dir(folder, quiet=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("openapi_generator_client")


@pytest.fixture
def connection(client: ModuleType, live: Live) -> Any:
    """The generated `ApiClient` with the token of the demo account, an editor."""
    configuration = client.Configuration(host=live.url)
    credentials = client.Login(email=DEMO_EMAIL, password=DEMO_PASSWORD)
    tokens = client.AuthApi(client.ApiClient(configuration)).log_in(credentials)
    configuration.access_token = tokens.access_token
    return client.ApiClient(configuration)

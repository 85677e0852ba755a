"""The servers of a test session, as hooks of pytest, and databases of their own for tests.

The controller of pytest-xdist finds or starts the servers once and sends their URLs to its workers.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests import pooler, services, stack_proxy
from tests.marks import mark

PROGRAMS = ("chromium", "npm")
SERVERS = {"postgresql": services.postgres, "redis": services.redis}
_running = ExitStack()
_missing: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    received = getattr(config, "workerinput", None)  # in a worker
    config.servers = received["servers"] if received else {}
    if received or stack_proxy.URL:
        return
    for name, server in SERVERS.items():
        try:
            config.servers[name] = _running.enter_context(server())
        except services.Unavailable as reason:
            if os.environ.get("REQUIRE_SERVICES"):
                pytest.exit(str(reason), returncode=3)
            _missing.append(f"{name}: not tested, {reason}")
    if pooler.ON:
        server = config.servers["postgresql"]
        address = _running.enter_context(services.pgbouncer(server))
        os.environ["TEST_PGBOUNCER_ADDRESS"] = address  # for the workers, too
        os.environ["TEST_PGBOUNCER_SERVER"] = server.rpartition("@")[2].partition("/")[0]
    for name in PROGRAMS:
        if not shutil.which(name):
            if os.environ.get("REQUIRE_SERVICES"):
                pytest.exit(f"{name} is not installed", returncode=3)
            _missing.append(f"{name}: not installed, its tests are skipped")


def pytest_configure_node(node: Any) -> None:
    node.workerinput["servers"] = node.config.servers


def pytest_unconfigure(config: pytest.Config) -> None:
    _running.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for line in _missing:
        terminalreporter.write_line(line, yellow=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if stack_proxy.URL:
        config.hook.pytest_deselected(
            items=[item for item in items if not stack_proxy.runs_on_stack(item)]
        )
        items[:] = filter(stack_proxy.runs_on_stack, items)
    if pooler.ON:
        config.hook.pytest_deselected(
            items=[item for item in items if not pooler.runs_through_pooler(item)]
        )
        items[:] = filter(pooler.runs_through_pooler, items)
    mark(items)


def server_url(request: pytest.FixtureRequest, name: str) -> str:
    """The URL of a server of this session; skip the test if there is none."""
    url: str | None = request.config.servers.get(name)
    if url is None:
        pytest.skip(f"no {name}")
    return url


@contextmanager
def own_server(name: str, *args: Any) -> Iterator[str]:
    """The URL of a new server that a test may stop; skip or fail the test without one."""
    variable = {"postgresql": "TEST_DATABASE_URL", "redis": "TEST_REDIS_URL"}[name]
    with ExitStack() as stack:
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv(variable, raising=False)
                url = stack.enter_context(SERVERS[name](*args))
        except services.Unavailable as reason:
            skip_or_fail(str(reason))
        yield url


def skip_or_fail(reason: str) -> None:
    """Skip the test, or fail it if servers are required."""
    (pytest.fail if os.environ.get("REQUIRE_SERVICES") else pytest.skip)(reason)


@contextmanager
def new_database(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    if kind == "stack":
        yield stack_proxy.DATABASE_URL
        return
    server = server_url(request, "postgresql")
    name = f"test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = f"{server.rpartition('/')[0]}/{name}"
        yield pooler.url_through_pooler(url) if pooler.ON else url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

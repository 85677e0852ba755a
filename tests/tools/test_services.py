"""The servers of a test session start, work and leave nothing behind."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from tests import services
from tests.conftest import skip_or_fail


@pytest.fixture(autouse=True)
def no_configured_servers(monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.delenv("TEST_REDIS_URL", raising=False)


def ask_postgres(url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
        return Path(connection.execute("SHOW data_directory").fetchone()[0]).parent


def ask_redis(url):
    with redis.Redis.from_url(url, decode_responses=True) as client:
        assert client.ping()
        return Path(client.config_get("dir")["dir"])


both = pytest.mark.parametrize(
    ("name", "ask", "refused"),
    [
        ("postgres", ask_postgres, psycopg.OperationalError),
        ("redis", ask_redis, redis.ConnectionError),
    ],
)


@contextmanager
def started(name):
    """Yield the URL of a server; skip the test, or fail it if servers are required."""
    try:
        with getattr(services, name)() as url:
            yield url
    except services.Unavailable as error:
        skip_or_fail(str(error))


@both
def test_session_server_stops_with_its_block_and_leaves_no_directory(name, ask, refused):
    with started(name) as url:
        directory = ask(url)
        assert directory.is_dir()
    assert not directory.exists()
    with pytest.raises(refused):
        ask(url)


@both
def test_session_server_stops_when_the_session_is_killed(name, ask, refused):
    script = f"import services, time\nwith services.{name}() as url: print(url); time.sleep(60)"
    command = [sys.executable, "-u", "-c", script]
    with started(name):
        pass
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(services.__file__).parent
    ) as session:
        url = session.stdout.readline().strip()
        directory = ask(url)
        session.send_signal(signal.SIGKILL)

    deadline = time.monotonic() + services.SECONDS
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not directory.exists()
    with pytest.raises(refused):
        ask(url)


@pytest.mark.parametrize(
    ("name", "setting"), [("postgres", "TEST_DATABASE_URL"), ("redis", "TEST_REDIS_URL")]
)
def test_configured_session_server_is_used(monkeypatch, name, setting):
    monkeypatch.setenv(setting, "scheme://configured")
    with getattr(services, name)() as url:
        assert url == "scheme://configured"


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_missing_server_binaries_are_reported(monkeypatch, name):
    monkeypatch.setattr(services.shutil, "which", lambda _: None)
    monkeypatch.setattr(services.Path, "is_file", lambda _: False)
    with pytest.raises(services.Unavailable, match="was found"), getattr(services, name)():
        pass

"""The service in real processes, on a loopback port.

It has the features of tests; everything else is as shipped.
"""

import atexit
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.users.seed import DEMO_EMAIL, DEMO_PASSWORD
from tests import pooler, services

ROOT = Path(__file__).parent.parent
FEATURES_OF_TESTS = "tests.wsgi"
# None of these may be in the log of a live server when it ends.
SECRETS = (
    DEMO_PASSWORD,
    "correct horse battery",  # the password of tests and documents
    "long enough for tests",  # SECRET_KEY
    "$argon2id$",  # a hash
    "eyJ",  # an access token
)


def wait_until(condition: Callable[[], Any]) -> None:
    """Return once the condition is true."""
    deadline = time.monotonic() + services.SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.01)


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Live:
    """A running service."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """The response to one request with an optional JSON body."""
        sent = {"Content-Type": "application/json"} if body is not None else {}
        payload = None if body is None else json.dumps(body).encode()
        return self.send(method, path, payload, {**sent, **(headers or {})})

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        """The response to one request on a new connection."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=services.SECONDS)
        try:
            connection.request(method, f"/api/v1/{path}", body, headers)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def log_lines(self) -> list[str]:
        """The complete lines of the log; the service may be writing another."""
        return self.log.read_text().split("\n")[:-1]

    def log_in(self) -> dict[str, str]:
        """The Authorization header of the demo user, an editor."""
        credentials = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
        tokens = self.call("POST", "auth/login", credentials).json
        return {"Authorization": f"Bearer {tokens['access_token']}"}

    def workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


def copy_release(folder: Path) -> Path:
    """A copy of the deployed code, with the features of tests, that a test may change."""
    for name in ("app", "migrations", "examples", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "gunicorn.conf.py", folder)
    return folder


@contextmanager
def serve(
    database_url: str, *, root: Path = ROOT, wsgi: str = FEATURES_OF_TESTS, **settings: str
) -> Iterator[Live]:
    """Yield gunicorn serving a migrated and seeded database; stop it afterwards.

    Args:
        database_url: The URL of the database.
        root: The folder of the code: this one, or one of `copy_release`.
        wsgi: The module of the application; "wsgi" has the shipped features only.
        settings: Settings by the names of their environment variables.
    """
    settings = {"BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "2", **settings}
    environ = _environ(database_url, **settings)
    file = Path(database_url.removeprefix("sqlite:///"))
    if (
        (root, wsgi) == (ROOT, FEATURES_OF_TESTS)
        and database_url.startswith("sqlite")
        and not file.exists()
    ):
        shutil.copy(_seeded_sqlite_file(), file)
    else:
        _migrate_and_seed(environ, root, wsgi)
    gunicorn = [sys.executable, "-m", "gunicorn", f"{wsgi}:app"]
    with _running(gunicorn, environ, root) as (process, log):
        yield Live(_wait_for_address(process, log), process, log)


# begin jobs
@contextmanager
def celery_worker(
    database_url: str, broker_url: str, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a Celery worker with its scheduler; stop it afterwards if it still runs."""
    environ = _environ(database_url, BROKER_URL=broker_url, **settings)
    celery = [
        sys.executable,
        "-m",
        "celery",
        "--app",
        f"{FEATURES_OF_TESTS}:celery",
        "worker",
        "--beat",
    ]
    with tempfile.TemporaryDirectory() as folder:
        celery += ["--pool", "threads", "--concurrency", "2", "--schedule", f"{folder}/schedule"]
        with _running(celery, environ) as (process, _):
            yield process


# end jobs
def _migrate_and_seed(environ: dict[str, str], root: Path, wsgi: str) -> None:
    direct_url = pooler.url_without_pooler(environ["DATABASE_URL"])
    directly = {**environ, "DATABASE_URL": direct_url, "DATABASE_POOLER": ""}
    flask = [sys.executable, "-m", "flask", "--app", wsgi]
    subprocess.run([*flask, "db", "upgrade"], cwd=root, env=directly, check=True)
    subprocess.run(
        [*flask, "seed", "--demo"], cwd=root, env=environ, check=True, stdout=subprocess.DEVNULL
    )


@cache
def _seeded_sqlite_file() -> Path:
    """A database to copy: two processes fewer for each server."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "seeded.db"
    _migrate_and_seed(_environ(f"sqlite:///{file}", CACHE_DIR=folder.name), ROOT, FEATURES_OF_TESTS)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def _environ(database_url: str, **settings: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "APP_ENV": "testing",
        "SECRET_KEY": "not a secret, but long enough for tests",
        "DATABASE_URL": database_url,
        "DATABASE_POOLER": "true" if pooler.ON and database_url.startswith("postgres") else "",
        **settings,
    }


@contextmanager
def _running(
    command: list[str], environ: dict[str, str], root: Path = ROOT
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Yield a process and its log; check after its end that the log contains no secret."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=root, env=environ, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield process, log
        finally:
            process.terminate()
            process.wait(services.SECONDS)
            database_password = urlsplit(environ["DATABASE_URL"]).password
            secrets = (*SECRETS, *([database_password] if database_password else []))
            leaked = [secret for secret in secrets if secret in log.read_text(errors="replace")]
            assert not leaked, f"in the log of {command[2]}: {leaked}"


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL in the log of gunicorn, once its workers have booted."""
    deadline = time.monotonic() + services.SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        text = log.read_text()
        found = re.search(r"Listening at: ((?:http://|unix:)[^\s,]+)", text)
        if found and "Booting worker" in text:
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"gunicorn does not listen: {log.read_text()}")

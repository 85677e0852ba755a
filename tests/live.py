"""The service in its real process: gunicorn with the shipped configuration, on a loopback port."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from app.cli import DEMO_EMAIL, DEMO_PASSWORD

ROOT = Path(__file__).parent.parent
# No test may find one of these in the log of a live server, whatever it does there.
SECRETS = (
    DEMO_PASSWORD,
    "correct horse battery",  # the password of tests and documents
    "long enough for tests",  # SECRET_KEY
    "$argon2id$",  # a hash
    "eyJ",  # an access token
)


@dataclass(frozen=True)
class Answer:
    """What came back."""

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
        """The answer to one request on a connection of its own."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=30)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        payload = None if body is None else json.dumps(body)
        try:
            connection.request(method, f"/api/v1/{path}", payload, {**sent, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def log_in(self) -> dict[str, str]:
        """The header fields of the demo user, who is an editor."""
        credentials = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
        tokens = self.call("POST", "auth/login", credentials).json
        return {"Authorization": f"Bearer {tokens['access_token']}"}

    def workers(self) -> list[int]:
        """The process ids of gunicorn's workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]


@contextmanager
def serve(database_url: str, **settings: str) -> Iterator[Live]:
    """Yield gunicorn serving a migrated database; it is asked to end afterwards."""
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "APP_ENV": "testing",
        "SECRET_KEY": "not a secret, but long enough for tests",
        "DATABASE_URL": database_url,
        "BIND": "127.0.0.1:0",
        "WEB_CONCURRENCY": "2",
        **settings,
    }
    flask = [sys.executable, "-m", "flask", "--app", "wsgi"]
    subprocess.run([*flask, "db", "upgrade"], cwd=ROOT, env=environ, check=True)
    subprocess.run(
        [*flask, "seed", "--demo"], cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL
    )
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "gunicorn.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=ROOT,
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Live(_wait_for_address(process, log), process, log)
        finally:
            process.terminate()
            process.wait(30)
            leaked = [secret for secret in SECRETS if secret in log.read_text(errors="replace")]
            assert not leaked, f"in the log of a live server: {leaked}"


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where gunicorn says that it listens, once its workers have booted."""
    while process.poll() is None:
        text = log.read_text()
        found = re.search(r"Listening at: (http://\S+)", text)
        if found and "Booting worker" in text:
            return found[1]
    raise RuntimeError(f"gunicorn ended: {log.read_text()}")

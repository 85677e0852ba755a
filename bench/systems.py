"""The systems that are compared, and how each is started: two workers, four threads if it has
threads, and the server that its documentation names.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from app.core.security.keys import hkdf_sha256
from bench.database import ROOT
from tests.services import free_port

VENVS = ROOT / "bench" / ".venvs"
SECRET = "to measure with; it guards nothing, 0123456789"
WORKERS, THREADS = 2, 4
UNREACHABLE_LIMIT = "100000000 per minute"  # requests are counted nevertheless

SETTINGS = {
    "APP_ENV": "production",
    "TRUSTED_HOSTS": "localhost,127.0.0.1",
    "SECRET_KEY": SECRET,
    # The key with which peers verify tokens, as `app.auth.signing_keys` derives it.
    "TOKEN_KEY": hkdf_sha256(SECRET, "access tokens").hex(),
    "SMTP_URL": "smtp://127.0.0.1:25",
    "PUBLIC_URL": "https://bench.example.com",
    "ACCESS_TOKEN_MINUTES": "1440",
    "RATE_LIMIT": UNREACHABLE_LIMIT,
    "LOGIN_RATE_LIMIT": UNREACHABLE_LIMIT,
    "WEB_CONCURRENCY": str(WORKERS),
    "WEB_THREADS": str(THREADS),
    "PYTHONPATH": str(ROOT),
}

# Workers must not be replaced during a measurement.
_GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--max-requests", "0"]
_OTHERS = [*_GUNICORN, "--config", "bench/gunicorn_conf.py"]
_UVICORN = ["-m", "uvicorn", "--port", "{port}", "--workers", str(WORKERS), "--no-access-log"]
_GRANIAN = ["-m", "granian", "--interface", "asgi", "--port", "{port}", "--workers", str(WORKERS)]


@dataclass(frozen=True)
class System:
    """An application and its server."""

    name: str
    title: str
    command: list[str]  # arguments for its Python
    peer: str = ""  # the folder of peers/ with its requirements; empty for our environment

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return VENVS / self.peer / "bin" / "python" if self.peer else Path(sys.executable)


SYSTEMS = {
    system.name: system
    for system in (
        System("full", "ours, as shipped", [*_GUNICORN, "bench.ours:app"]),
        System("lean", "ours, lean", [*_GUNICORN, "bench.ours_lean:app"]),
        System("limit", "limit: bare WSGI and psycopg", [*_OTHERS, "bench.limit.app:app"]),
        System(
            "litestar",
            "Litestar, msgspec, async SQLAlchemy",
            [*_GRANIAN, "bench.peers.litestar.app:app"],
            "litestar",
        ),
        System(
            "fastapi-async",
            "FastAPI, async SQLAlchemy",
            [*_UVICORN, "bench.peers.fastapi.async_app:app"],
            "fastapi",
        ),
        System(
            "fastapi",
            "FastAPI, SQLAlchemy, as its template",
            [*_UVICORN, "bench.peers.fastapi.sync_app:app"],
            "fastapi",
        ),
        System("drf", "Django REST framework", [*_OTHERS, "bench.peers.drf.app:app"], "drf"),
        System("flask", "Flask as tutorials do", [*_OTHERS, "bench.peers.flask.app:app"], "flask"),
    )
}
OURS = ("full", "lean")
TEMPLATES = ("fastapi", "drf", "flask")  # as in the tutorials of their documentation
PEERS = ("litestar", "fastapi-async", *TEMPLATES)


def install(system: System) -> None:
    """Create the environment of a peer from its lock, unless it exists."""
    if not system.peer:
        return
    lock = ROOT / "bench" / "peers" / system.peer / "requirements.lock"
    stamp = VENVS / system.peer / f"installed-{sha256(lock.read_bytes()).hexdigest()}"
    if stamp.exists():
        return
    print(f"Installing {lock.relative_to(ROOT)}", file=sys.stderr)
    shutil.rmtree(VENVS / system.peer, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", VENVS / system.peer], check=True)
    pip = [system.python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", lock], check=True)
    stamp.touch()


def servers(database: str, redis: str) -> dict[str, str]:
    """The settings that name them."""
    return {"DATABASE_URL": database, "REDIS_URL": redis, "BROKER_URL": redis}


@dataclass(frozen=True)
class Running:
    """A system that listens on a loopback port."""

    system: System
    port: int
    pid: int

    def call(self, request: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request, given as HTTP text; status, header fields and body of the response."""
        head, _, body = request.partition("\r\n\r\n")
        first, *fields = head.split("\r\n")
        method, path, _ = first.split()
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, dict(f.split(": ", 1) for f in fields))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, headers, answer.read()
        finally:
            connection.close()


@contextmanager
def serve(system: System, database: str, redis: str, log: Path) -> Iterator[Running]:
    """Yield the system once it responds; it is terminated afterwards.

    Raises:
        RuntimeError: it ended, or did not respond within half a minute.
    """
    port = free_port()
    environ = os.environ | SETTINGS | servers(database, redis)
    command = [str(system.python), *(part.format(port=port) for part in system.command)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        running = Running(system, port, process.pid)
        _wait(running, process, log)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(running: Running, process: "subprocess.Popen[Any]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            running.call("GET /api/v1/products/0 HTTP/1.1\r\nHost: localhost")
            return
        except OSError:
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{running.system.name} does not respond:\n{tail}")


@contextmanager
def serve_all(
    systems: list[System], database: str, redis: str, folder: Path
) -> Iterator[list[Running]]:
    """Yield all systems, running at the same time."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(serve(system, database, redis, folder / f"{system.name}.log"))
            for system in systems
        ]

"""The service as it runs in production, on this machine: nginx, gunicorn, PostgreSQL and Redis."""

import os
import secrets
import signal
import socket
import socketserver
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
import redis

from tests import services
from tests.live import Live, copy_release, serve
from tests.nginx import Nginx, in_front_of

TIMEOUT = 60.0  # seconds for a fault to happen, on a busy machine
UNREACHABLE_LIMIT = "1000000 per minute"
SETTINGS = {
    "RATE_LIMIT": UNREACHABLE_LIMIT,  # a 429 would hide the effect of a fault
    "LOGIN_RATE_LIMIT": UNREACHABLE_LIMIT,
    "ACCESS_TOKEN_MINUTES": "60",  # no token expires during the run
    "TRUSTED_PROXIES": "1",
}
DISK = 16 * 1024 * 1024  # bytes
HOME, AWAY = "127.0.0.1", "127.0.0.2"  # addresses of the first gunicorn, and of the second


def until(condition: Callable[[], Any], what: str) -> Any:
    """The value of the condition, as soon as it is true; fails after the timeout."""
    deadline = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        time.sleep(0.02)
    return found


class Postgres:
    """A PostgreSQL that can be stopped and started, durable as in production."""

    def __init__(self, directory: Path) -> None:
        for binaries in services.postgres_binaries():
            with suppress(services.Unavailable, OSError):
                self._command, self.superuser, self._account = services.cluster(binaries, directory)
                break
        else:
            raise services.Unavailable("no PostgreSQL")
        self._directory, self.log = directory, directory / "log"
        self.start()
        with self.connect() as connection:
            password = secrets.token_urlsafe(16)
            connection.execute(f"CREATE ROLE app LOGIN PASSWORD '{password}'")
            connection.execute("CREATE DATABASE app OWNER app")
        where = urlsplit(self.superuser)
        self.url = f"postgresql://app:{password}@{where.hostname}:{where.port}/app"
        self.administered = self.superuser.rpartition("/")[0] + "/app"

    def start(self) -> None:
        with self.log.open("wb") as log:
            options = services.spawn_options(self._directory, self._account)
            self.process = subprocess.Popen(
                [str(part) for part in self._command], stdout=log, stderr=log, **options
            )
        until(lambda: services.READY in self.log.read_bytes(), "PostgreSQL started")

    def stop(self, how: signal.Signals) -> None:
        """Shut down: SIGINT fast, SIGQUIT immediately, without a checkpoint."""
        self.process.send_signal(how)
        self.process.wait(TIMEOUT)

    def connect(self, url: str = "") -> psycopg.Connection:
        return psycopg.connect(url or self.superuser, autocommit=True)

    def processes(self) -> list[int]:
        """The ids of all its processes, the postmaster first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def end_sessions(self) -> int:
        """Terminate the connections of the service; return their number."""
        with self.connect() as connection:
            return connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
            ).rowcount


class Names(socketserver.ThreadingUDPServer):
    """A substitute for Docker's DNS: returns the addresses of `web` (RFC 1035, A records)."""

    daemon_threads = True

    def __init__(self) -> None:
        self.addresses = [HOME]
        super().__init__((HOME, 0), Names.Reply)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Reply(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            query, wire = self.request
            question = query[12 : query.index(b"\0", 12) + 5]
            records = b"".join(
                b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04" + socket.inet_aton(address)
                for address in self.server.addresses
            )
            counts = len(self.server.addresses).to_bytes(2)
            head = query[:2] + b"\x81\x80\0\x01" + counts + b"\0\0\0\0"
            wire.sendto(head + question + records, self.client_address)


class Stack:
    """All servers; the code is a copy, which a fault may break."""

    def __init__(self, directory: Path, own: ExitStack) -> None:
        self._own = own
        (directory / "release").mkdir()
        self.root = copy_release(directory / "release")
        (directory / "postgres").mkdir()
        directory.chmod(0o711)  # PostgreSQL runs as another user
        self.postgres = Postgres(directory / "postgres")
        own.callback(self._end_postgres)
        self._redis = own.enter_context(ExitStack())
        self.redis_url = self._redis.enter_context(services.redis())
        self.port = services.free_port()
        self.live = own.enter_context(self.serve(HOME))
        self.names = Names()
        own.callback(self.names.shutdown)
        (directory / "nginx").mkdir()
        changes = {
            "127.0.0.11": f"{HOME}:{self.names.server_address[1]}",
            "http://web:8000": f"http://web:{self.port}",
        }
        self.nginx: Nginx = own.enter_context(
            in_front_of(self.live, directory / "nginx", **changes)
        )

    def articles(self, name: str) -> list[tuple[str, str, int, str | None]]:
        """Id, name, version and category of each article whose name begins with the name."""
        with self.postgres.connect(self.postgres.administered) as connection:
            statement = "SELECT id::text, name, version, category FROM articles"
            return connection.execute(f"{statement} WHERE name LIKE %s", [f"{name} %"]).fetchall()

    def _end_postgres(self) -> None:
        for process in self.postgres.processes():
            os.kill(process, signal.SIGCONT)
        self.postgres.stop(signal.SIGQUIT)

    def serve(self, address: str) -> AbstractContextManager[Live]:
        """A gunicorn of this stack at this address."""
        bind = {"BIND": f"{address}:{self.port}", "REDIS_URL": self.redis_url}
        return serve(self.postgres.url, root=self.root, **SETTINGS, **bind)

    def take_over(self) -> None:
        """Start a second gunicorn at another address; it becomes the stack's own."""
        self.live = self._own.enter_context(self.serve(AWAY))
        assert self.live.call("GET", "articles").status == 200  # as compose waits for health
        self.names.addresses.append(AWAY)
        time.sleep(6)  # nginx resolves the name every 5 s

    def ask_redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url, socket_timeout=5, decode_responses=True)

    def start_redis(self) -> None:
        """Start an empty Redis on the same port."""
        self._redis.close()
        self._redis.enter_context(services.redis(urlsplit(self.redis_url).port))


class Embedded:
    """The default without servers: gunicorn with SQLite on a small disk."""

    def __init__(self, directory: Path, own: ExitStack) -> None:
        self.disk = directory / "disk"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", self.disk]
        if subprocess.run(mount, capture_output=True).returncode:
            raise services.Unavailable("this account may not mount a small disk")
        own.callback(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        self.file = self.disk / "app.db"
        settings = {"CACHE_DIR": str(directory / "cache"), **SETTINGS}
        self.live = own.enter_context(serve(f"sqlite:///{self.file}", **settings))
        (directory / "nginx").mkdir()
        self.nginx: Nginx = own.enter_context(in_front_of(self.live, directory / "nginx"))

    def articles(self, name: str) -> list[tuple[str, str, int, str | None]]:
        """Id, name, version and category of each article whose name begins with the name."""
        with closing(sqlite3.connect(self.file)) as connection:
            statement = "SELECT id, name, version, category FROM articles"
            found = connection.execute(f"{statement} WHERE name LIKE ?", [f"{name} %"]).fetchall()
        return [(str(UUID(row[0])), *row[1:]) for row in found]


@contextmanager
def running(kind: type[Stack] | type[Embedded]) -> Iterator[Stack | Embedded]:
    """Yield a stack, and remove it afterwards."""
    for name in ("TEST_DATABASE_URL", "TEST_REDIS_URL"):
        os.environ.pop(name, None)  # the stack needs servers that it can stop
    with (
        TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name,
        ExitStack() as own,
    ):
        yield kind(Path(name), own)

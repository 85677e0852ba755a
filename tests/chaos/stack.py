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
from tests.live import Live, release, serve
from tests.nginx import Nginx, in_front_of

PATIENCE = 60.0  # seconds, on a busy machine, for what a fault needs to happen
PLENTY = "1000000 per minute"
SETTINGS = {
    "RATE_LIMIT": PLENTY,  # a 429 would hide what is behind it
    "LOGIN_RATE_LIMIT": PLENTY,
    "ACCESS_TOKEN_MINUTES": "60",  # no token expires during the run
    "TRUSTED_PROXIES": "1",
}
DISK = 16 * 1024 * 1024  # bytes
HOME, AWAY = "127.0.0.1", "127.0.0.2"  # where the first gunicorn listens, and the second


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What the condition is, once it is something; fails when it never is."""
    deadline = time.monotonic() + seconds
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
        """SIGINT is a fast shutdown, SIGQUIT an immediate one, without a checkpoint."""
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def connect(self, url: str = "") -> psycopg.Connection:
        return psycopg.connect(url or self.superuser, autocommit=True)

    def processes(self) -> list[int]:
        """The ids of all its processes, the first one's first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def end_sessions(self) -> int:
        """Terminate what the service has connected; how many those were."""
        with self.connect() as connection:
            return connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
            ).rowcount


class Names(socketserver.ThreadingUDPServer):
    """What Docker's DNS is to nginx: says at which addresses `web` is (RFC 1035, A records)."""

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
    """The whole of it; the code is a copy, which a fault may break."""

    def __init__(self, directory: Path, own: ExitStack) -> None:
        self._own = own
        (directory / "release").mkdir()
        self.root = release(directory / "release")
        (directory / "postgres").mkdir()
        directory.chmod(0o711)  # PostgreSQL runs as somebody else
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

    def tasks(self, name: str) -> list[tuple[str, str, int, str | None]]:
        """Id, title, version and description of each task whose title begins with the name."""
        with self.postgres.connect(self.postgres.administered) as connection:
            statement = "SELECT id::text, title, version, description FROM tasks"
            return connection.execute(f"{statement} WHERE title LIKE %s", [f"{name} %"]).fetchall()

    def _end_postgres(self) -> None:
        for process in self.postgres.processes():
            os.kill(process, signal.SIGCONT)
        self.postgres.stop(signal.SIGQUIT)

    def serve(self, address: str) -> AbstractContextManager[Live]:
        """A gunicorn of this stack, at this address."""
        bind = {"BIND": f"{address}:{self.port}", "REDIS_URL": self.redis_url}
        return serve(self.postgres.url, root=self.root, **SETTINGS, **bind)

    def take_over(self) -> None:
        """Have a second gunicorn, elsewhere, serve beside the first; it is the stack's own now."""
        self.live = self._own.enter_context(self.serve(AWAY))
        assert self.live.call("GET", "products").status == 200  # as compose waits for health
        self.names.addresses.append(AWAY)
        time.sleep(6)  # nginx asks every 5 s

    def ask_redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url, socket_timeout=5, decode_responses=True)

    def start_redis(self) -> None:
        """A new one, empty, where the old one was."""
        self._redis.close()
        self._redis.enter_context(services.redis(urlsplit(self.redis_url).port))


class Embedded:
    """The default without servers: gunicorn on SQLite; its database is on a small disk."""

    def __init__(self, directory: Path, own: ExitStack) -> None:
        self.disk = directory / "disk"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", self.disk]
        if subprocess.run(mount, capture_output=True).returncode:
            raise services.Unavailable("a small disk: this account may not mount one")
        own.callback(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        self.file = self.disk / "app.db"
        settings = {"CACHE_DIR": str(directory / "cache"), **SETTINGS}
        self.live = own.enter_context(serve(f"sqlite:///{self.file}", **settings))
        (directory / "nginx").mkdir()
        self.nginx: Nginx = own.enter_context(in_front_of(self.live, directory / "nginx"))

    def tasks(self, name: str) -> list[tuple[str, str, int, str | None]]:
        """Id, title, version and description of each task whose title begins with the name."""
        with closing(sqlite3.connect(self.file)) as connection:
            statement = "SELECT id, title, version, description FROM tasks"
            found = connection.execute(f"{statement} WHERE title LIKE ?", [f"{name} %"]).fetchall()
        return [(str(UUID(row[0])), *row[1:]) for row in found]


@contextmanager
def running(kind: type[Stack] | type[Embedded]) -> Iterator[Stack | Embedded]:
    """Yield a stack; nothing of it is left afterwards."""
    for given in ("TEST_DATABASE_URL", "TEST_REDIS_URL"):
        os.environ.pop(given, None)  # the servers must be ours to stop
    with (
        TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name,
        ExitStack() as own,
    ):
        yield kind(Path(name), own)

"""The faults. Each is injected into a stack under load, verified, and undone."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from app.config import Settings
from app.core.database.engine import TIMEOUT_MARGIN
from tests.chaos.stack import TIMEOUT, Embedded, Stack, until

_DEFAULT = Settings()
BUSY = 5.0  # seconds that a busy machine may add to the timeouts
REDIS = 3 * _DEFAULT.redis_timeout_ms / 1000  # the limiter, the cache, and once more
LOCK = _DEFAULT.pool_timeout + _DEFAULT.lock_timeout_ms / 1000
# The longest path: wait for a connection, for a response on it, and for a new connection.
DATABASE = (
    _DEFAULT.pool_timeout
    + _DEFAULT.statement_timeout_ms / 1000
    + TIMEOUT_MARGIN
    + _DEFAULT.connect_timeout
)
BOOT = 25.0  # requests wait while both workers boot at the same time
THREADS = 4  # of a worker


@dataclass(frozen=True)
class Fault:
    """A fault, and its permitted effects on clients.

    Args:
        title: for the table.
        inject: causes and undoes it; returns the evidence that it happened.
        bound: seconds that the slowest response may take.
        refused: True: at least one response is 503; False: none is; None: some may be.
        failures: how many requests may fail.
        needs: the stack that it is injected into.
    """

    title: str
    inject: Callable[[Any], str]
    bound: float
    refused: bool | None = False
    failures: int = 0
    needs: type[Stack] | type[Embedded] = Stack


FAULTS: dict[str, Fault] = {}


def fault(title: str, bound: float = 0, **more: Any) -> Callable[[Any], Any]:
    def register(inject: Callable[[Any], str]) -> Callable[[Any], str]:
        FAULTS[inject.__name__] = Fault(title, inject, bound + BUSY, **more)
        return inject

    return register


# --- the service -----------------------------------------------------------------------------


def reload(stack: Stack) -> None:
    old = set(stack.live.workers())
    stack.live.process.send_signal(signal.SIGHUP)
    until(lambda: no_longer(stack, old), "new workers")


def no_longer(stack: Stack, old: set[int]) -> bool:
    workers = stack.live.workers()
    return len(workers) == 2 and not old & set(workers)


@contextmanager
def changed(stack: Stack, name: str, pattern: str, replacement: str) -> Iterator[None]:
    """Replace text in a file of the release during a block."""
    file = stack.root / name
    text = file.read_text()
    other, times = re.subn(pattern, replacement, text)
    assert times, f"{pattern} is not in {name}"
    file.write_text(other)
    try:
        yield
    finally:
        file.write_text(text)


@fault("gunicorn reloaded (HUP) three times")
def hup(stack: Stack) -> str:
    for _ in range(3):
        reload(stack)
    return "all workers replaced, three times"


@fault("workers recycled (`max_requests`)", BOOT)
def max_requests(stack: Stack) -> str:
    first, seen = set(stack.live.workers()), set()
    setting = r"(max_requests|max_requests_jitter) = \S+"
    with changed(stack, "gunicorn.conf.py", setting, r"\1 = 100"):
        reload(stack)

        def recycled() -> bool:
            seen.update(stack.live.workers())
            return len(seen - first) >= 6

        until(recycled, "workers recycled")
    reload(stack)
    return "six workers in turn"


@fault("a release that cannot be imported (HUP)")
def broken_release(stack: Stack) -> str:
    old = set(stack.live.workers())
    with changed(stack, "app/__init__.py", r"\A", "import missing_module\n"):
        stack.live.process.send_signal(signal.SIGHUP)
        message = "Not reloaded"
        until(lambda: message in stack.live.log.read_text(), "the release was refused")
        time.sleep(1)
        assert set(stack.live.workers()) == old, "workers were replaced"
    reload(stack)
    return "refused; the old workers stayed, a good release replaced them"


@fault("a worker killed (SIGKILL)", failures=THREADS)
def worker_killed(stack: Stack) -> str:
    victim = stack.live.workers()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: no_longer(stack, {victim}), "another worker")
    return "another one replaced it; only its own requests failed"


@fault("gunicorn ended (TERM), a second one takes over")
def term(stack: Stack) -> str:
    old = stack.live.process
    stack.take_over()
    old.send_signal(signal.SIGTERM)
    assert old.wait(TIMEOUT) == 0
    return "exit status 0"


# --- PostgreSQL ------------------------------------------------------------------------------


def restart(stack: Stack, how: signal.Signals) -> str:
    before = stack.postgres.process.pid
    stack.postgres.stop(how)
    time.sleep(1)
    stack.postgres.start()
    assert stack.postgres.process.pid != before
    return "unavailable for a second, another postmaster"


@fault("PostgreSQL restarted, fast", DATABASE, refused=True)
def postgres_fast(stack: Stack) -> str:
    return restart(stack, signal.SIGINT)


@fault("PostgreSQL restarted, immediate (as in a crash)", DATABASE, refused=True)
def postgres_immediate(stack: Stack) -> str:
    restarted = restart(stack, signal.SIGQUIT)
    log = (stack.postgres.log).read_text()
    assert "was not properly shut down" in log, log
    return f"{restarted}, recovered from its log"


@fault("all sessions of the service terminated", DATABASE, refused=None)
def sessions_ended(stack: Stack) -> str:
    ended = stack.postgres.end_sessions()
    assert ended, "no session"
    return "`pg_terminate_backend` of all"


@fault("PostgreSQL stopped (SIGSTOP) for 20 s", DATABASE, refused=True)
def postgres_stopped(stack: Stack) -> str:
    stopped = stack.postgres.processes()
    try:
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        time.sleep(20)
        states = {state(process) for process in stopped}
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)
    assert states == {"T"}, states
    return "all its processes in state T"


def state(process: int) -> str:
    """A process's state (proc(5)): R, S, T and so on."""
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


WAITING = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'tasks'::regclass"


@fault("a table locked for 6 s", LOCK, refused=True)
def table_locked(stack: Stack) -> str:
    with stack.postgres.connect(stack.postgres.administered) as other, other.transaction():
        other.execute("LOCK TABLE tasks")
        until(lambda: other.execute(WAITING).rowcount, "a request waited for the lock")
        time.sleep(6)
    return "requests waited for it in `pg_locks`"


@contextmanager
def altered(stack: Stack, to: str, back: str) -> Iterator[None]:
    """Alter a setting of new sessions during a block, and terminate the existing sessions."""
    with stack.postgres.connect() as other:
        other.execute(to)
        try:
            stack.postgres.end_sessions()
            yield
        finally:
            other.execute(back)


@fault("out of connections for 5 s", DATABASE, refused=True)
def no_connections(stack: Stack) -> str:
    limit = "ALTER ROLE app CONNECTION LIMIT"
    with altered(stack, f"{limit} 0", f"{limit} -1"):
        with suppress(psycopg.OperationalError):
            stack.postgres.connect(stack.postgres.url).close()
            raise AssertionError("a connection was accepted")
        time.sleep(5)
    return "a connection was refused"


@fault("PostgreSQL read-only for 5 s", DATABASE, refused=True)
def read_only(stack: Stack) -> str:
    setting, database = "default_transaction_read_only", "ALTER DATABASE app"
    with altered(stack, f"{database} SET {setting} = on", f"{database} RESET {setting}"):
        with stack.postgres.connect(stack.postgres.url) as session:
            assert session.execute("SHOW transaction_read_only").fetchone() == ("on",)
        time.sleep(5)
    return "`transaction_read_only` was on in new sessions"


# --- Redis -----------------------------------------------------------------------------------


@fault("Redis killed, unavailable for 5 s", REDIS)
def redis_killed(stack: Stack) -> str:
    with stack.ask_redis() as client:
        before = client.info("server")
    os.kill(before["process_id"], signal.SIGKILL)
    time.sleep(5)
    stack.start_redis()
    with stack.ask_redis() as client:
        assert client.info("server")["run_id"] != before["run_id"]
    return "another `run_id`"


@fault("Redis stopped (SIGSTOP) for 6 s", REDIS)
def redis_stopped(stack: Stack) -> str:
    with stack.ask_redis() as client:
        process = client.info("server")["process_id"]
    try:
        os.kill(process, signal.SIGSTOP)
        time.sleep(6)
        found = state(process)
    finally:
        os.kill(process, signal.SIGCONT)
    assert found == "T", found
    return "its process in state T"


@fault("Redis flushed", REDIS)
def redis_flushed(stack: Stack) -> str:
    with stack.ask_redis() as client:
        assert client.dbsize(), "it was empty"
        client.flushall()
        return "`FLUSHALL` of its keys"


@fault("Redis out of memory for 5 s", REDIS)
def redis_full(stack: Stack) -> str:
    with stack.ask_redis() as client:
        policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        time.sleep(5)
        refused = client.info("errorstats").get("errorstat_OOM")
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", policy)
    assert refused, "no write was refused"
    return "writes failed with `OOM`"


# --- clients ---------------------------------------------------------------------------------


@fault("200 slow clients (slowloris)")
def slow_clients(stack: Stack) -> str:
    raise_open_files_limit()
    with ExitStack() as own:
        head = b"GET /api/v1/products HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        post = b"POST /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
        heads = [own.enter_context(connected(stack, head)) for _ in range(100)]
        bodies = [own.enter_context(connected(stack, post)) for _ in range(100)]
        for _ in range(24):
            for wire in (*heads, *bodies):
                with suppress(OSError):
                    wire.send(b"x")
            time.sleep(0.5)
        cut = sum(map(is_closed, heads))
    assert cut == len(heads), f"{cut} were cut off"
    return "nginx closed those whose headers took 10 s, and buffered the bodies"


@fault("1,000 idle connections")
def idle_clients(stack: Stack) -> str:
    raise_open_files_limit()
    with ExitStack() as own:
        idle = [own.enter_context(connected(stack, b"")) for _ in range(1000)]
        time.sleep(4)
        left = sum(not is_closed(wire) for wire in idle)
        time.sleep(8)
        cut = sum(map(is_closed, idle))
    assert left == len(idle), f"{len(idle) - left} were rejected"
    assert cut == len(idle), f"{cut} were closed"
    return "all were open for 4 s; nginx closed them after 10 s"


def raise_open_files_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))


def connected(stack: Stack, sent: bytes) -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", stack.nginx.port), timeout=10)
    wire.sendall(sent)
    wire.setblocking(False)
    return wire


def is_closed(wire: socket.socket) -> bool:
    try:
        return not wire.recv(4096)
    except BlockingIOError:
        return False
    except OSError:
        return True


# --- migrations ------------------------------------------------------------------------------

MIGRATION = '''"""A column and an index, during a fault."""

import sqlalchemy as sa
from alembic import op

revision = "chaos"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("chaos", sa.Text()))
    with op.get_context().autocommit_block():
        op.create_index("ix_tasks_chaos", "tasks", ["chaos"], postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_column("tasks", "chaos")
'''


@fault("a migration, while a SELECT of 5 s runs on its table", LOCK)
def migration(stack: Stack) -> str:
    folder = stack.root / "app/tasks/migrations"
    head = "tasks_" + max(path.name[:4] for path in folder.glob("[0-9]*.py"))
    file = folder / "chaos.py"
    file.write_text(MIGRATION.format(head=head))
    try:
        with stack.postgres.connect(stack.postgres.administered) as reader:
            with reader.transaction():
                reader.execute("SELECT FROM tasks LIMIT 1")
                process = flask(stack, "db", "upgrade")
                blocked = f"{WAITING} AND mode = 'AccessExclusiveLock'"
                with stack.postgres.connect(stack.postgres.administered) as other:
                    until(lambda: other.execute(blocked).rowcount, "the migration waited")
                    reader.execute("SELECT pg_sleep(4)")
                assert process.poll() is None, "it did not wait"
            output, _ = process.communicate(timeout=TIMEOUT)
            assert process.returncode == 0, output
            assert reader.execute(
                "SELECT FROM pg_indexes WHERE indexname = 'ix_tasks_chaos'"
            ).rowcount
        assert "a lock is held by others" in output, output
    finally:
        done = flask(stack, "db", "downgrade", head)
        assert done.wait(TIMEOUT) == 0, done.stdout.read()
        file.unlink()
    return "it retried at least once, then created its column and index"


def flask(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "APP_ENV": "testing", "DATABASE_URL": stack.postgres.url}
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "wsgi", *arguments],
        cwd=stack.root,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


# --- the default without servers -------------------------------------------------------------


@fault("disk full under SQLite for 5 s", LOCK, refused=True, needs=Embedded)
def disk_full(stack: Embedded) -> str:
    ballast = stack.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        fill_up(file)
        time.sleep(5)
        fill_up(file)  # SQLite may have truncated its log
        free = shutil.disk_usage(stack.disk).free
    ballast.unlink()
    assert free == 0, f"{free} bytes were free"
    return "no byte was free on its file system"


def fill_up(file: Any) -> None:
    with suppress(OSError):
        while file.write(bytes(4096)):
            pass

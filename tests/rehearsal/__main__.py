"""Rehearse upgrades of clones of each release to HEAD, and write the table of docs/upgrading.md.

The clone is made by `make new`, without the samples. It adds a resource, a setting, a role and a
column of users, and it patches the core. Expected are no conflicts but those of `CONFLICTS`, all
rows of a database of the old release after the new migrations, and checks and a test suite of the
clone that pass.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.live import ROOT
from tests.rehearsal import alterations
from tests.rehearsal.commands import ENVIRON, flask, git, python
from tests.rehearsal.databases import databases, fill, read_back, restore
from tools.release import releases

PAGE = ROOT / "docs" / "upgrading.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end -->)", re.S)
HEAD = "| from | to | conflicts | rows read back | tests | minutes |\n|---|---|---|---|---|---|\n"
# Conflicts that a clone must expect, by release: the file, and what is done with it here.
CONFLICTS: dict[str, tuple[str, ...]] = {}


def main() -> int:
    """Rehearse each release, or those that are named; return 0 if all were upgraded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("releases", nargs="*", help="such as 1.0.0")
    parser.add_argument("--tests", nargs="*", metavar="ARGUMENT", help="for pytest")
    options = parser.parse_args()
    head, found = git(ROOT, "rev-parse", "HEAD"), releases("HEAD")
    rows = []
    for version in options.releases or [each for each in found if found[each] != head]:
        with tempfile.TemporaryDirectory(prefix="rehearsal-") as directory:
            rows.append(rehearse(Path(directory), version, found[version], options.tests))
            print(rows[-1], flush=True)
    if not options.releases and options.tests is None:
        PAGE.write_text(TABLE.sub(lambda _: HEAD + "".join(rows), PAGE.read_text()))
    return 0


def rehearse(directory: Path, version: str, commit: str, tests: list[str] | None) -> str:
    """Upgrade a clone of a release; return the line of the table."""
    started = time.monotonic()
    upstream, clone = directory / "upstream", directory / "shop"
    subprocess.run(["git", "clone", "-q", "--no-tags", str(ROOT), str(upstream)], check=True)
    git(upstream, "remote", "remove", "origin")  # so that this folder is the clone's upstream
    git(upstream, "checkout", "-qB", "main", commit)
    print(python(upstream, "-m", "tools.new_service", clone.name))
    target = release_head(upstream)
    alterations.alter(clone, f"sqlite:///{directory}/revision.db")
    with databases(directory) as urls:
        before = {name: fill(clone, url) for name, url in urls.items()}
        conflicts = upgrade(clone, version)
        restored = {name: restore(url) for name, url in urls.items()}
        counts = [f"{read_back(clone, restored[name], before[name])} {name}" for name in urls]
    run(clone, "tools.check", "ruff-check", "mypy", "imports")
    tested = run(clone, "pytest", "-n", "2", "-q", "--tb=short", *(tests or ["-m", "not slow"]))
    passed = tested.splitlines()[-1].partition(" in ")[0]
    minutes = (time.monotonic() - started) / 60
    listed = ", ".join(conflicts) or "none"
    cells = (version, target, listed, ", ".join(counts), passed, f"{minutes:.0f}")
    return f"| {' | '.join(cells)} |\n"


def release_head(upstream: Path) -> str:
    """Set the branch to HEAD; unless that is a release, add one. Return the version of HEAD."""
    git(upstream, "checkout", "-qB", "main", git(ROOT, "rev-parse", "HEAD"))
    version, commit = list(releases("HEAD").items())[-1]
    if commit == git(ROOT, "rev-parse", "HEAD"):
        return version
    major, minor, _ = version.split(".")
    new = f"{major}.{int(minor) + 1}.0"
    for name, old, text in (
        ("pyproject.toml", f'version = "{version}"', f'version = "{new}"'),
        ("CHANGELOG.md", f"## {version}\n", f"## {new}\n\nA rehearsal.\n\n## {version}\n"),
    ):
        path = upstream / name
        if name == "pyproject.toml" or f"## {new}\n" not in path.read_text():
            path.write_text(path.read_text().replace(old, text, 1))
    git(upstream, "commit", "-qam", f"Release {new}")
    return f"HEAD, as {new}"


def upgrade(clone: Path, version: str) -> list[str]:
    """Merge the newest release, and commit; return the files that were in conflict.

    Raises:
        ValueError: a conflict was not expected.
    """
    print(python(clone, "-m", "tools.upgrade", "--merge-only"), flush=True)
    conflicts = git(clone, "diff", "--name-only", "--diff-filter=U").split()
    expected = CONFLICTS.get(version, ())
    if unexpected := sorted(set(conflicts) - set(expected)):
        print(git(clone, "diff"))
        raise ValueError(f"conflicts in {', '.join(unexpected)}")
    for path in conflicts:
        git(clone, "checkout", "--theirs", "--", path)
        for edit in alterations.EDITS:
            if edit.path == path:
                alterations.apply(clone, edit)
    (clone / "openapi.json").write_text(flask(clone, "openapi"))
    python(clone, "-m", "tools.format")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "Upgrade")
    return conflicts


def run(clone: Path, *command: str) -> str:
    """The output of a Python module in the clone.

    Raises:
        ValueError: it failed; with the end of the output.
    """
    python = [sys.executable, "-m", *command]
    done = subprocess.run(python, cwd=clone, env=ENVIRON, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise ValueError(done.stdout[-20_000:])
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

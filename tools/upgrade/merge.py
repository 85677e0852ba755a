"""The merge of a release, and the conflicts that have one answer."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tools.git import content, git, git_lines, git_status
from tools.upgrade import own_files
from tools.upgrade.adapt import add_packages, merge_adapted

LOCKS = ("requirements.lock", "requirements-otel.lock", "requirements-dev.lock")
GENERATED = ("openapi.json", *LOCKS)
BASE, OURS, THEIRS = "1", "2", "3"  # the stages of a file that is in conflict


@dataclass
class Merge:
    """What a merge has done.

    Args:
        kept_deleted: files that upstream has changed or added, in what this clone has removed.
        new_features: features of upstream that this clone receives.
        conflicts: what is left to decide, by file.
        stale: generated files that must still be regenerated.
    """

    kept_deleted: list[str] = field(default_factory=list)
    new_features: list[str] = field(default_factory=list)
    conflicts: dict[str, str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def merge_release(commit: str, message: str) -> Merge:
    """Merge the commit into the current branch, without committing the result.

    Raises:
        SystemExit: Git refused to begin.
    """
    base, result = git("merge-base", "HEAD", commit), Merge()
    removed = _folders(base) - _folders("HEAD")
    # Without renames: Git would take a feature of the clone for a renamed sample, and change it.
    # The default strategy ignores no-renames (Git 2.39), `recursive` honours it.
    strategy = ("-s", "recursive", "-X", "no-renames")
    options = ("merge", "--no-commit", "--no-ff", *strategy, "-m", message)
    command = ["git", "-c", "merge.conflictStyle=zdiff3", *options, commit]
    done = subprocess.run(command, capture_output=True, text=True)
    if git_status("rev-parse", "-q", "--verify", "MERGE_HEAD"):
        sys.exit(f"Git did not merge:\n{done.stdout}{done.stderr}")
    removed -= add_packages(base, commit, removed)
    result.kept_deleted = sorted({*_keep_deleted(), *_drop_new_files(removed)})
    result.new_features = own_files.keep(base, commit)
    _take_theirs(commit, GENERATED)
    merge_adapted(base, commit)
    result.conflicts = dict(_conflicts(base, commit))
    result.stale = list(_stale(commit))
    return result


def _folders(commit: str) -> set[str]:
    """All folders of a commit that contain files."""
    paths = map(PurePosixPath, git_lines("ls-tree", "-r", "--name-only", commit))
    return {str(parent) for path in paths for parent in path.parents}


def stages() -> dict[str, set[str]]:
    """The stages of each file that is in conflict: BASE, OURS and THEIRS, as far as it exists."""
    found: dict[str, set[str]] = {}
    for line in git_lines("ls-files", "--unmerged"):
        about, _, path = line.partition("\t")
        found.setdefault(path, set()).add(about.split()[2])
    return found


def _keep_deleted() -> Iterator[str]:
    """Delete the files that this clone has deleted and upstream has changed."""
    for path, present in stages().items():
        if present == {BASE, THEIRS}:
            _remove(path)
            yield path


def _drop_new_files(removed: set[str]) -> Iterator[str]:
    """Delete the files that upstream has added in folders that this clone has removed."""
    for path in git_lines("diff", "--cached", "--name-only", "--no-renames", "--diff-filter=A"):
        if removed.intersection(map(str, PurePosixPath(path).parents)):
            _remove(path)
            yield path


def _remove(path: str) -> None:
    git("rm", "-qf", "--ignore-unmatch", "--", path)


def _take_theirs(commit: str, paths: Iterable[str]) -> None:
    for path in paths:
        if content(commit, path):
            git("checkout", "-q", commit, "--", path)


def _conflicts(base: str, commit: str) -> Iterator[tuple[str, str]]:
    renames = _renames(base, commit)
    for path, present in stages().items():
        if present == {BASE, OURS}:
            moved = f", now in {renames[path]}" if path in renames else ""
            yield path, f"changed here, deleted upstream{moved}"
        elif BASE not in present:
            yield path, "added here and upstream"
        else:
            yield path, "changed here and upstream"
    for revision, paths in own_files.repeated_revisions().items():
        for path in paths:
            yield path, f"another migration has the revision {revision}, too"


def _renames(base: str, commit: str) -> dict[str, str]:
    lines = git_lines("diff", "-M", "--name-status", "--diff-filter=R", base, commit)
    return {old: new for _, old, new in (line.split("\t") for line in lines)}


def _stale(commit: str) -> Iterator[str]:
    """The generated files whose input is not that of upstream."""
    yield "openapi.json"
    here, upstream = Path("pyproject.toml").read_text(), content(commit, "pyproject.toml")
    if "pyproject.toml" in stages() or _requirements(here) != _requirements(upstream):
        yield from LOCKS


def _requirements(pyproject: str) -> list[object]:
    tables = tomllib.loads(pyproject)
    names = ("requires-python", "dependencies", "optional-dependencies")
    return [*map(tables["project"].get, names), tables.get("tool", {}).get("uv")]

"""Check that what clones rely on is as it was released: python -m tools.released_files.

Clones have applied the released migrations, and changed the files that belong to them
(docs/upgrading.md). A service of its own, which has another name or fewer features, has no clones:
it is not checked.
"""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.git import content, git, git_lines, git_status
from tools.new_service import NAME
from tools.release import releases
from tools.scaffold import feature_list
from tools.upgrade.own_files import FEATURES, OWN, feature_names

# Upstream writes its own notes, and may add features.
UNCHANGED = [path for path in OWN if path not in ("CHANGELOG.md", FEATURES)]
MIGRATIONS = (":(glob)app/*/migrations/*.py", ":(glob)migrations/versions/*.py")
SKIPPED = 2  # the exit status


def main() -> int:
    """Print a line for each changed file; return the exit status."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    if project["name"] != NAME:
        return SKIPPED
    if git_status("rev-parse", "--verify", "HEAD"):
        print("there is no history")
        return SKIPPED
    if git("rev-parse", "--is-shallow-repository") == "true":
        print("the history is incomplete: git fetch --unshallow")
        return SKIPPED
    found = releases("HEAD")
    first = content(next(iter(found.values()), "HEAD"), FEATURES)
    if not set(feature_names(first)) <= set(feature_names(Path(FEATURES).read_text())):
        return SKIPPED
    faults = [*changed_own_files(found), *changed_migrations(found)]
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


def changed_own_files(found: dict[str, str]) -> Iterator[str]:
    """A line for each file of the clones that differs from the first release."""
    for first, commit in [*found.items()][:1]:
        for path in git_lines("diff", "--name-only", "--no-renames", commit, "--", *UNCHANGED):
            yield f"{path} belongs to the clones: it stays as it was in {first}"
        if not extends(Path(FEATURES).read_text(), content(commit, FEATURES)):
            yield (
                f"{FEATURES} belongs to the clones: since {first} only VERSION changes, and new"
                " features are the last"
            )


def extends(text: str, released: str) -> bool:
    """Whether the text is the released one with another version and new features at the end."""
    known = feature_names(released)
    for name in feature_names(text):
        if name not in known:
            released = feature_list.with_feature(released, name)
    return _without_version(text) == _without_version(released)


def _without_version(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("VERSION = ")]


def changed_migrations(found: dict[str, str]) -> Iterator[str]:
    """A line for each released migration that was changed, or deleted without its feature."""
    options = ("--name-only", "--no-renames", "--diff-filter=a")
    changed: dict[str, str] = {}
    for version, commit in found.items():
        for path in git_lines("diff", *options, commit, "--", *MIGRATIONS):
            if (Path(path).parent.parent / "__init__.py").exists():
                changed.setdefault(path, version)
    for path, version in changed.items():
        yield f"{path} is released with {version} and stays as it is: add another migration"


if __name__ == "__main__":
    sys.exit(main())

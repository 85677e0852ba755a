"""Merge a release of upstream into this clone.

`--check` says whether there is a newer one. `--merge-only` leaves out what needs the environment:
openapi.json, the formatting, the checks and the tests.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tools.git import content, git, git_lines, git_status
from tools.release import parse_version, releases, sections
from tools.upgrade.merge import LOCKS, Merge, merge_release

UPSTREAM = "upstream/main"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="make upgrade", description=__doc__)
    parser.add_argument("--to", metavar="VERSION", help="the release; the newest without it")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--merge-only", action="store_true")
    options = parser.parse_args()
    fetch()
    found = releases(UPSTREAM)
    if not found:
        sys.exit(f"{UPSTREAM} has no releases")
    require_common_history(found)
    here = newest_merged(found)
    target = options.to or list(found)[-1]
    if target not in found:
        sys.exit(f"No release {target}; there are {', '.join(found)}")
    if options.check:
        print(newer(found, here))
        return
    if not git_status("merge-base", "--is-ancestor", found[target], "HEAD"):
        print(f"{target} is merged already")
        return
    if Path(__file__).is_relative_to(Path.cwd()) and content(found[target], "tools/git.py"):
        sys.exit(run_command_of(found[target]))
    upgrade(here, target, found[target], merge_only=options.merge_only)


def run_command_of(commit: str) -> int:
    """Run this command as a release has it, because it knows that release's files."""
    with tempfile.TemporaryDirectory() as directory:
        archive = f"{directory}/tools.zip"
        git("archive", "--format=zip", "-o", archive, commit, "tools")
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(directory)
        # With -P, the current directory with the older command is not on the path.
        command = [sys.executable, "-P", "-m", "tools.upgrade", *sys.argv[1:]]
        return subprocess.call(command, env={**os.environ, "PYTHONPATH": directory})


def fetch() -> None:
    """Fetch upstream, without its tags: those of a clone are its own releases."""
    if git_status("rev-parse", "--verify", "HEAD"):
        sys.exit("Nothing is committed here: git init, git add -A, git commit")
    if git_status("remote", "get-url", "upstream"):
        sys.exit("No remote upstream: git remote add upstream URL")
    if git("rev-parse", "--is-shallow-repository") == "true":
        sys.exit("The history is incomplete: git fetch --unshallow")
    command = ["git", "fetch", "--quiet", "--no-tags", "upstream"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        reason = (done.stderr.splitlines() or ["no reason"])[0]
        sys.exit(f"upstream cannot be fetched: {reason.removeprefix('fatal: ')}")
    if git_status("rev-parse", "--verify", UPSTREAM):
        sys.exit(f"There is no branch {UPSTREAM}: git remote set-url upstream URL")


def require_common_history(found: dict[str, str]) -> None:
    """Exit with the command that connects the histories, if they have no common commit."""
    if not git_status("merge-base", "HEAD", UPSTREAM):
        return
    different = {
        version: len(git_lines("diff", "--name-only", commit, "HEAD"))
        for version, commit in found.items()
    }
    closest = min(different, key=lambda version: different[version])
    sys.exit(
        "This clone and upstream have no common commit: it was made without history. If it was\n"
        f"made of {closest}, from which it differs least ({different[closest]} files), connect the"
        " two once:\n"
        f'  git merge -s ours --allow-unrelated-histories -m "Made of {closest}" {found[closest]}'
    )


def newest_merged(found: dict[str, str]) -> str:
    """The newest release in the history of this clone; "" if it is older than the first."""
    merged = [
        version
        for version, commit in found.items()
        if not git_status("merge-base", "--is-ancestor", commit, "HEAD")
    ]
    return merged[-1] if merged else ""


def newer(found: dict[str, str], here: str) -> str:
    """One line that says whether there is a newer release."""
    after = [version for version in found if not here or is_newer(version, here)]
    if not after:
        return f"{here} is the newest release"
    return f"Newer than {here or 'this clone'}: {', '.join(after)}; `make upgrade` merges the last"


def is_newer(version: str, than: str) -> bool:
    """Whether a release is newer than another."""
    return parse_version(version) > parse_version(than)


def upgrade(here: str, target: str, commit: str, *, merge_only: bool) -> None:
    """Merge the release on a branch of its own, check the result and print what is left."""
    if git("status", "--porcelain"):
        sys.exit("The tree has changes: commit or stash them first")
    switch_to(f"upgrade-{target}")
    merge = merge_release(commit, f"Upgrade to {target}")
    failed = [] if merge_only or merge.conflicts else complete(merge)
    print_summary(merge, failed)
    notes = sections(content(commit, "CHANGELOG.md"))
    for version, text in notes.items():
        if not is_newer(version, target) and (not here or is_newer(version, here)):
            print(f"\n## {version}\n\n{text}")


def switch_to(branch: str) -> None:
    """Switch to a branch that begins here; one that an aborted upgrade has left is used again.

    Raises:
        SystemExit: the branch has commits that are not here.
    """
    exists = not git_status("rev-parse", "--verify", f"refs/heads/{branch}")
    if exists and git_status("merge-base", "--is-ancestor", branch, "HEAD"):
        sys.exit(f"The branch {branch} has other commits; to begin again: git branch -D {branch}")
    git("switch", "--quiet", "--force-create", branch)


def complete(merge: Merge) -> list[str]:
    """Regenerate the stale files, format, check and test; return the commands that failed."""
    dev = [sys.executable, "dev.py"]
    steps = [("lock", LOCKS)] if set(LOCKS) & set(merge.stale) else []
    for name, files in [*steps, ("openapi", ("openapi.json",))]:
        if subprocess.call([*dev, name]):
            return [name, "check", "test"]
        git("add", *files)
        merge.stale = [path for path in merge.stale if path not in files]
    # Removes imports that only the lines of removed features used.
    if merged := git_lines("diff", "--name-only", "--diff-filter=d", "HEAD", "--", "*.py"):
        if subprocess.call([*dev, "format", *merged]):
            return ["format", "check", "test"]
        git("add", "--", *merged)
    return [name for name in ("check", "test") if subprocess.call([*dev, name])]


def print_summary(merge: Merge, failed: list[str]) -> None:
    """Print what the merge did, and what is left to do."""
    listed = {
        "Kept deleted, although upstream has changed them:": merge.kept_deleted,
        "New features; `flask remove feature NAME` removes one:": merge.new_features,
        "Left to decide:": [f"{path}: {reason}" for path, reason in merge.conflicts.items()],
        "To be regenerated:": merge.stale,
        "Failed:": [f"make {name}" for name in failed],
    }
    for heading, lines in listed.items():
        if lines:
            print("\n  ".join(["", heading, *lines]).lstrip("\n "))
    steps = ["make lock"] if set(LOCKS) & set(merge.stale) else []
    steps += ["make openapi"] if "openapi.json" in merge.stale else []
    steps += (
        ["make format", "make check", "make test"] if steps or failed or merge.conflicts else []
    )
    print(f"Next: {', '.join([*steps, 'git add -A', 'git commit'])}. Or: git merge --abort")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)} failed with {error.returncode}")

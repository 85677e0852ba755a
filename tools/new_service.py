"""Make a service of its own out of this repository: python -m tools.new_service shop-api.

The clone is beside this folder. It keeps the history, so that `make upgrade` can merge later
releases, and has no samples, a name and versions of its own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.git import git, git_status

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ("products", "tasks")
NAME, TITLE = "flask-rest-reference", "Flask REST reference"
# History, which names upstream; and generated files.
UNCHANGED = re.compile(
    r"CHANGELOG\.md|docs/(decisions|upgrading)\.md|openapi\.json|.*\.lock|LICENSE"
)
FIRST_VERSION = "0.1.0"


def main(arguments: list[str]) -> None:
    """Make the clone, and print what it has and what it leaves out."""
    name = arguments[0] if arguments else ""
    os.chdir(ROOT)
    clone = checked_target(name)
    made_of = f"{TITLE} {version_of(Path('pyproject.toml').read_text())}"
    commit = git("rev-parse", "HEAD")
    clone_history(clone)
    os.chdir(clone)
    for feature in SAMPLES:
        python("flask", "remove", "feature", feature)
    rename(name, title_of(name))
    own_version(made_of, commit)
    python("tools.openapi_file")
    git("add", "--all")
    git("commit", "--quiet", "--message", f"Release {FIRST_VERSION}, made of {made_of}")
    print(
        f"{clone} is {title_of(name)} {FIRST_VERSION}, made of {made_of}.\n"
        f"Left out: the sample features {' and '.join(SAMPLES)}, and what only upstream needs with"
        " them:\nbench/ and docs/performance.md, the comparisons with other frameworks.\n"
        f"The remote upstream is {git('remote', 'get-url', 'upstream')}; `make upgrade` merges its"
        f" releases.\nNext: cd {clone}, make test, make run, flask new resource"
    )


def checked_target(name: str) -> Path:
    """The folder of the clone, which does not exist yet.

    Raises:
        SystemExit: says what has to be changed.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40:
        sys.exit(f"NAME is words in small letters with hyphens, such as shop-api, not {name!r}")
    target = ROOT.parent / name
    if target.exists():
        sys.exit(f"{target} exists already and is not overwritten")
    if git("status", "--porcelain"):
        sys.exit("The tree has changes, which a clone would not have: commit or stash them first")
    if git_status("var", "GIT_COMMITTER_IDENT"):
        sys.exit("Git does not know who commits: git config --global user.name and user.email")
    return target


def clone_history(target: Path) -> None:
    """Clone without tags, which are upstream's releases, and remember where upstream is."""
    git("clone", "--quiet", "--no-tags", "--origin", "upstream", str(ROOT), str(target))
    known = git_status("remote", "get-url", "origin") == 0
    url = git("remote", "get-url", "origin") if known else str(ROOT)
    git("-C", str(target), "remote", "set-url", "upstream", url)
    git("-C", str(target), "switch", "--quiet", "--force-create", "main")
    git_status(
        "-C", str(target), "branch", "--unset-upstream"
    )  # `git push` needs a remote of its own


def python(*arguments: str) -> None:
    """Run a module in the clone."""
    environ = {**os.environ, "FLASK_SKIP_DOTENV": "1", "APP_ENV": "testing"}
    command = [sys.executable, "-m", *arguments]
    subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)


def rename(name: str, title: str) -> None:
    """Write the name of the service in place of upstream's."""
    for line in git("grep", "--name-only", "-I", "-e", NAME, "-e", TITLE).splitlines():
        path = Path(line)
        if not UNCHANGED.fullmatch(line) and path != Path(__file__).relative_to(ROOT):
            path.write_text(path.read_text().replace(NAME, name).replace(TITLE, title))


def own_version(made_of: str, commit: str) -> None:
    """Begin with the first version and a CHANGELOG of its own."""
    for path, line in (
        ("pyproject.toml", "version = "),
        ("app/features.py", "VERSION = "),
        ("deploy/kubernetes/kustomization.yaml", "    newTag: "),
    ):
        text = Path(path).read_text()
        changed = re.sub(rf'(?m)^{line}".*"$', f'{line}"{FIRST_VERSION}"', text, count=1)
        Path(path).write_text(changed)
    Path("CHANGELOG.md").write_text(
        "# Changelog\n\nVersions follow [Semantic Versioning](https://semver.org/).\n\n"
        f"## {FIRST_VERSION}\n\nMade of {made_of}, commit {commit}, without its samples.\n"
    )


def title_of(name: str) -> str:
    """The title in documents: `shop-api` is "Shop API"."""
    words = name.replace("-", " ").capitalize()
    return re.sub(r"\b(?:api|rest)\b", lambda word: word[0].upper(), words)


def version_of(pyproject: str) -> str:
    """The version in a pyproject.toml."""
    found = re.search(r'(?m)^version = "(.*)"$', pyproject)
    assert found
    return found[1]


if __name__ == "__main__":
    main(sys.argv[1:])

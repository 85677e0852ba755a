"""`make upgrade`: releases of upstream are merged into a clone."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.live import ROOT
from tests.tools.releases import (
    CHANGES,
    CORE,
    ENVIRON,
    MODEL,
    OF_THE_CLONE,
    RELEASE_1_0,
    RELEASE_1_1,
    RELEASE_1_2,
    commit,
    features,
    git,
    project,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    where = tmp_path / "upstream"
    where.mkdir()
    git(where, "init", "-qb", "main")
    commit(where, "Begin", {**RELEASE_1_0, "pyproject.toml": project("the-upstream", "1.0.0.dev0")})
    commit(where, "Release 1.0.0", RELEASE_1_0)
    git(where, "tag", "v1.0.0")
    return where


@pytest.fixture
def clone(upstream: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", "--origin", "upstream", str(upstream), "clone")
    commit(tmp_path / "clone", "Make a shop", CHANGES)
    return tmp_path / "clone"


def upgrade(clone: Path, *arguments: str, status: int = 0) -> str:
    """The output of `make upgrade`, which merges but does not check and test."""
    command = [sys.executable, "-m", "tools.upgrade", *arguments]
    # Repositories without a tools/ of their own use that of this tree.
    environ = {**ENVIRON, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, cwd=clone, env=environ, text=True, **pipes)
    assert done.returncode == status, done.stdout
    return done.stdout


def read(clone: Path, name: str) -> str:
    return (clone / name).read_text()


def test_release_is_merged_into_a_clone_that_has_changed(upstream: Path, clone: Path) -> None:
    commit(upstream, "Release 1.1.0", RELEASE_1_1)
    commit(upstream, "After the release", {"app/core/later.py": "later\n"})
    printed = upgrade(clone, "--merge-only")
    assert git(clone, "branch", "--show-current") == "upgrade-1.1.0"
    assert git(clone, "ls-files", "--unmerged") == ""
    # Both changed the core, in different functions.
    assert read(clone, "app/core/functions.py").count("11") == 1
    assert read(clone, "app/core/functions.py").count("22") == 1
    # What was removed stays away, and a feature that resembles it is not taken for it.
    assert not (clone / "app/products").exists()
    assert "app/products/imports.py\n  app/products/models.py" in printed
    assert read(clone, "app/invoices/models.py") == CHANGES["app/invoices/models.py"]
    assert "colour" in read(clone, "app/tasks/models.py")
    # Own files and lines, and the new feature.
    assert read(clone, "README.md") == "Shop\n"
    assert read(clone, "app/features.py") == features(
        "invoices", "tasks", "docs", "mfa", title="A shop"
    )
    layers = '    "(invoices)",\n    "(mfa) | (tasks)",'
    assert read(clone, "pyproject.toml") == project("shop", "0.3.0", '\n    "redis",', 90, layers)
    # Names, and lines of a removed feature.
    assert read(clone, "Makefile") == "run:\n\tserve A shop\n\ntest:\n\tpytest --new\n"
    assert read(clone, "docs/http.md") == "# A shop 2\n\nCall shop, or not.\n"
    assert read(clone, "docs/new.md") == "# News of A shop\n\nMore.\n"
    assert not (clone / "docs/products.md").exists()
    # A package that went with the feature, and upstream has without it now.
    assert read(clone, "tests/stack/client.py") == "A shop\n"
    assert read(clone, "tests/stack/run.sh") == "run --products\n"
    assert not (clone / "tests/stack/products.py").exists()
    # Generated files are upstream's until they are generated.
    assert read(clone, "requirements.lock") == RELEASE_1_1["requirements.lock"]
    assert read(clone, "openapi.json") == RELEASE_1_1["openapi.json"]
    assert "To be regenerated:\n  openapi.json\n" in printed
    assert not (clone / "app/core/later.py").exists()
    assert "## 1.1.0\n\n### Upgrade steps\n\nSet REDIS_URL." in printed
    assert "## 1.0.0" not in printed
    assert git(clone, "tag") == "v1.0.0"  # which `git clone` has fetched


def test_conflicts_are_listed_with_what_the_two_sides_did(upstream: Path, clone: Path) -> None:
    commit(upstream, "Release 1.1.0", RELEASE_1_1)
    changes = {
        "app/core/functions.py": CORE.replace("return 2", "return 3"),
        "app/core/moved.py": MODEL.format(name="Patched"),
        "app/users/migrations/0002_name.py": 'revision = "users_0002"\n',
        "pyproject.toml": project("shop", "0.3.0", "", 80, OF_THE_CLONE),
    }
    commit(clone, "Patch the core", changes)
    printed = upgrade(clone)
    moved = "changed here, deleted upstream, now in app/core/here.py"
    both = "another migration has the revision users_0002, too"
    for line in (
        "app/core/functions.py: changed here and upstream",
        f"app/core/moved.py: {moved}",
        "pyproject.toml: changed here and upstream",
        f"app/users/migrations/0002_locale.py: {both}",
        f"app/users/migrations/0002_name.py: {both}",
    ):
        assert f"\n  {line}\n" in printed
    text = read(clone, "app/core/functions.py")
    assert text.count("|||||||") == text.count("    return 2\n") == 1  # zdiff3 shows the base
    assert read(clone, "pyproject.toml").startswith('[project]\nname = "shop"\nversion = "0.3.0"\n')
    next_steps = "make lock, make openapi, make format, make check, make test, git add -A, git"
    assert next_steps in printed
    # It can be aborted, and repeated on the branch that it has left.
    git(clone, "merge", "--abort")
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "branch", "--show-current") == "upgrade-1.1.0"
    assert upgrade(clone) == printed


COMMANDS = """\
import subprocess, sys
print("RUN", *sys.argv[1:], flush=True)
if sys.argv[1] == "format":
    sys.exit(subprocess.call([sys.executable, "-m", "tools.format", *sys.argv[2:]]))
"""
# In lines of this file, `flask remove feature products` would find the import and the marks.
WITH_IMPORT = (
    "from app.products import price\n\n"
    "# begin products\nprint(price)\n# end products\n"
    'print("tasks")\n'
)


def test_imports_for_lines_of_a_removed_feature_go_with_them(upstream: Path, clone: Path) -> None:
    (clone / "app/invoices/odd.py").write_text("import  os\n")  # not the merge's
    commit(clone, "Odd", {})
    added = {"dev.py": COMMANDS, "app/tasks/prices.py": WITH_IMPORT}
    commit(upstream, "Release 1.1.0", {**RELEASE_1_1, **added, "tests/stack/client.py": "1\n"})
    printed = [line for line in upgrade(clone).splitlines() if line.startswith("RUN ")]
    assert [line.split()[1] for line in printed] == ["openapi", "format", "check", "test"]
    assert read(clone, "app/tasks/prices.py") == 'print("tasks")\n'
    assert read(clone, "app/invoices/odd.py") == "import  os\n"
    assert git(clone, "diff", "--name-only") == ""  # all is staged


def test_each_release_can_be_named_and_removed_features_stay_away(
    upstream: Path, clone: Path
) -> None:
    commit(upstream, "Release 1.1.0", RELEASE_1_1)
    commit(upstream, "More of products", {"app/products/exports.py": "new\n"})
    commit(upstream, "Release 1.2.0", RELEASE_1_2)
    assert "Newer than 1.0.0: 1.1.0, 1.2.0" in upgrade(clone, "--check")
    assert "No release 7.0.0; there are 1.0.0, 1.1.0, 1.2.0" in upgrade(
        clone, "--to=7.0.0", status=1
    )
    upgrade(clone, "--to", "1.1.0", "--merge-only")
    git(clone, "commit", "-qm", "Upgrade to 1.1.0")
    assert "Newer than 1.1.0: 1.2.0" in upgrade(clone, "--check")
    printed = upgrade(clone, "--merge-only")
    assert not (clone / "app/products").exists()
    assert "## 1.1.0" not in printed
    git(clone, "commit", "-qm", "Upgrade to 1.2.0")
    assert upgrade(clone, "--check") == "1.2.0 is the newest release\n"
    assert "1.2.0 is merged already" in upgrade(clone)


def test_clone_without_history_is_connected_once(upstream: Path, clone: Path) -> None:
    commit(upstream, "Release 1.1.0", RELEASE_1_1)
    url = git(clone, "remote", "get-url", "upstream")
    subprocess.run(["rm", "-rf", ".git"], cwd=clone, check=True)
    git(clone, "init", "-qb", "main")
    commit(clone, "A shop", {})
    assert "No remote upstream: git remote add upstream URL" in upgrade(clone, status=1)
    git(clone, "remote", "add", "upstream", url)
    printed = upgrade(clone, status=1)
    assert "made of 1.0.0" in printed
    command = printed.splitlines()[-1].replace('"Made of 1.0.0"', "Made").split()
    git(clone, *command[1:])
    upgrade(clone, "--merge-only")
    assert git(clone, "ls-files", "--unmerged") == ""
    assert read(clone, "app/core/functions.py").count("22") == 1
    assert not (clone / "app/products").exists()


def test_what_cannot_be_upgraded_is_refused_and_unchanged(upstream: Path, clone: Path) -> None:
    commit(upstream, "Release 1.1.0", RELEASE_1_1)
    assert "No release 7.0.0; there are 1.0.0, 1.1.0" in upgrade(
        clone, "--check", "--to=7.0.0", status=1
    )
    (clone / "new.txt").write_text("not committed")
    assert "commit or stash them first" in upgrade(clone, status=1)
    (clone / "new.txt").unlink()
    git(clone, "switch", "-qc", "upgrade-1.1.0")
    commit(clone, "Decide", {"new.txt": "committed"})
    git(clone, "switch", "-q", "main")
    assert "The branch upgrade-1.1.0 has other commits" in upgrade(clone, status=1)
    assert git(clone, "status", "--porcelain") == ""
    git(clone.parent, "clone", "-q", "--depth=1", "--origin=upstream", f"file://{clone}", "shallow")
    assert "git fetch --unshallow" in upgrade(clone.parent / "shallow", status=1)


def test_upstream_that_cannot_be_read_is_refused_in_one_line(upstream: Path, clone: Path) -> None:
    git(upstream, "branch", "-m", "main", "trunk")
    git(clone, "update-ref", "-d", "refs/remotes/upstream/main")
    assert upgrade(clone, status=1).startswith("There is no branch upstream/main: ")
    git(clone, "remote", "set-url", "upstream", "/nowhere")
    printed = upgrade(clone, status=1)
    assert printed.startswith("upstream cannot be fetched: '/nowhere' does not appear to be a git")
    assert printed.count("\n") == 1
    empty = clone.parent / "empty"
    git(clone.parent, "init", "-q", "empty")
    assert upgrade(empty, status=1).startswith("Nothing is committed here: ")


def test_command_of_the_merged_release_is_run(upstream: Path, clone: Path) -> None:
    names = ["git.py", "release.py", *(f"upgrade/{n}.py" for n in ("__init__", "__main__"))]
    names += ["upgrade/merge.py", "upgrade/own_files.py", "upgrade/adapt.py"]
    names += [f"scaffold/{n}.py" for n in ("__init__", "feature_list", "marked_lines")]
    tools: dict[str, str | None] = {f"tools/{n}": (ROOT / "tools" / n).read_text() for n in names}
    commit(clone, "The command", tools)
    main = str(tools["tools/upgrade/__main__.py"])
    changed = {"tools/upgrade/__main__.py": main.replace("Left to decide:", "Decide:")}
    patch = {"app/core/functions.py": CORE.replace("return 2", "return 3")}
    commit(clone, "Patch", patch)
    commit(upstream, "Release 1.1.0", {**RELEASE_1_1, **tools, **changed})
    assert "\nDecide:\n" in upgrade(clone)


def test_release_is_the_last_commit_that_set_its_version_and_has_notes(upstream: Path) -> None:
    commit(upstream, "No notes", {"pyproject.toml": project("the-upstream", "1.0.5")})
    commit(upstream, "Release 1.1.0", RELEASE_1_1)
    commit(upstream, "Take it back", {"pyproject.toml": project("the-upstream", "1.0.6.dev0")})
    last = commit(upstream, "Release 1.1.0", RELEASE_1_1)
    commit(upstream, "Continue", {"pyproject.toml": project("the-upstream", "1.1.0", "\n    'x',")})
    script = dedent(f"""
        import sys; sys.path.insert(0, {str(ROOT)!r})
        from tools.release import releases
        print(*releases("main").items())""")
    printed = subprocess.check_output([sys.executable, "-c", script], cwd=upstream, text=True)
    assert printed.startswith("('1.0.0', ")
    assert printed.endswith(f"('1.1.0', '{last}')\n")
    assert printed.count("(") == 2

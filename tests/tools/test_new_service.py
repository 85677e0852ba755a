"""`make new`: a clone with a name of its own, without samples, that can be upgraded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.features import VERSION
from tests.tools.checkout import copy_tree, run
from tests.tools.releases import ENVIRON, git
from tools.new_service import SAMPLES
from tools.scaffold import feature_list


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository with the tree in one commit."""
    where = tmp_path / "upstream"
    where.mkdir()
    copy_tree(where)
    git(where, "commit", "-qm", f"Release {VERSION}")
    git(where, "branch", "-qM", "main")
    git(where, "tag", f"v{VERSION}")
    return where


def make_new(upstream: Path, name: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tools.new_service", name]
    return subprocess.run(command, cwd=upstream, env=ENVIRON, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(feature_list.contains, SAMPLES)), reason="this service has no samples"
)
def test_new_service_has_its_own_name_and_the_history_of_upstream(upstream: Path) -> None:
    made = make_new(upstream, "shop-api")
    assert made.returncode == 0, made.stderr
    assert "Left out: the sample features products and tasks" in made.stdout
    clone = upstream.parent / "shop-api"
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "log", "-2", "--format=%s").splitlines() == [
        f"Release 0.1.0, made of Flask REST reference {VERSION}",
        f"Release {VERSION}",
    ]
    assert git(clone, "merge-base", "HEAD", "upstream/main") == git(upstream, "rev-parse", "main")
    assert git(clone, "remote") == "upstream"
    assert git(clone, "remote", "get-url", "upstream") == str(upstream)
    assert git(clone, "tag") == ""
    assert 'name = "shop-api"\nversion = "0.1.0"' in (clone / "pyproject.toml").read_text()
    assert (clone / "README.md").read_text().startswith("# Shop API\n")
    assert VERSION in (clone / "CHANGELOG.md").read_text().partition("## 0.1.0")[2]
    info = json.loads((clone / "openapi.json").read_text())["info"]
    assert (info["title"], info["version"]) == ("Shop API", "0.1.0")
    assert not {"bench", "examples/shop", "app/products", "app/tasks"} & set(
        git(clone, "ls-tree", "-r", "-d", "--name-only", "HEAD").splitlines()
    )
    run(clone, "tools.check", "ruff-check", "ruff-format", "imports", "locks")
    run(clone, "pytest", "-q", "-n0", "tests/test_structure.py", "tests/test_features.py")

    assert f"{VERSION} is the newest release" in run(clone, "tools.upgrade", "--check")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Shop", "NAME is words in small letters with hyphens, such as shop-api, not 'Shop'"),
        ("../shop", "NAME is words in small letters"),
        ("", "NAME is words in small letters"),
        ("upstream", "upstream exists already and is not overwritten"),
        ("shop", "The tree has changes"),
    ],
)
def test_clone_that_cannot_be_made_is_refused(upstream: Path, name: str, reason: str) -> None:
    (upstream / "note.txt").write_text("not committed")
    refused = make_new(upstream, name)
    assert refused.returncode == 1
    assert reason in refused.stderr
    assert sorted(path.name for path in upstream.parent.iterdir()) == ["upstream"]

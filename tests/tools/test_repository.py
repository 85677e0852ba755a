"""The files with which GitHub, pre-commit and editors work on the repository."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.features import VERSION
from tests.live import ROOT
from tests.tools.checkout import copy_tree, run
from tools import check, release

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
FILES = (*WORKFLOWS, ROOT / "CONTRIBUTING.md", ROOT / ".devcontainer/devcontainer.json")


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_reads_only_and_pins_actions_by_hash(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{'0' * 40}"))


def test_matrix_has_the_supported_versions() -> None:
    matrix = load(ROOT / ".github/workflows/checks.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert matrix["postgres"] == ["14", "15", "16", "17", "18"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_make_command_in_the_file_is_a_target(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"(?m)(?:run: |^    |`|: \")make ([a-z-]+)", text)) <= TARGETS
    assert set(re.findall(r'make check ARGS="?([a-z-]+)', text)) <= set(check.CHECKS)


def test_pre_commit_hooks_run_checks_of_make_check() -> None:
    for hook in load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]:
        script, command, *names = hook["entry"].split()[1:]
        assert (script, command) == ("dev.py", "check")
        assert set(names) <= set(check.CHECKS)


@pytest.mark.slow
def test_pre_commit_finds_nothing(tmp_path: Path) -> None:
    """In a copy of the tree, with this environment in place of its own."""
    copy_tree(tmp_path)
    config = tmp_path / ".pre-commit-config.yaml"
    # The hooks call dev.py, which would install; here they call what dev.py calls.
    command = f"{sys.executable} -m tools.check"
    config.write_text(config.read_text().replace("python3 dev.py check", command))
    cache = str(tmp_path / ".cache")
    run(tmp_path, "pre_commit", "run", "--all-files", PRE_COMMIT_HOME=cache, SKIP="workflows")


def test_release_notes_are_those_of_the_version() -> None:
    assert release.release_notes(f"v{VERSION}")
    with pytest.raises(ValueError, match=r"the tag is v9\.9\.9"):
        release.release_notes("v9.9.9")


def test_development_container_serves_where_make_run_does() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["forwardPorts"] == [8000]
    recommended = json.loads((ROOT / ".vscode/extensions.json").read_text())["recommendations"]
    assert container["customizations"]["vscode"]["extensions"] == recommended

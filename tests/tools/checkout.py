"""A copy of the tree, with the files that Git knows or would add."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.live import ROOT


def copy_tree(target: Path) -> None:
    """Copy the tree into a new Git repository, in which all files are staged."""
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT)
    for name in files.decode().splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    for command in (["git", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=target, check=True)


def run(where: Path, *command: str, status: int = 0, **environ: str) -> str:
    """The output of a Python module that runs in the copy and ends with the status."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=where,
        env={**os.environ, "FLASK_SKIP_DOTENV": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def changes(where: Path) -> Sequence[str]:
    """The files that differ from the staged ones, and new ones."""
    command = ["git", "status", "--porcelain", "-uall"]
    lines = subprocess.check_output(command, cwd=where, text=True).splitlines()
    return [line[3:] for line in lines if line[1] != " "]

"""`make rehearse-upgrade`, with few of the tests of the clone."""

import subprocess
import sys

import pytest

from tests.live import ROOT
from tools.release import releases


@pytest.mark.slow
def test_altered_clone_of_each_release_is_upgraded_without_conflicts() -> None:
    if not (ROOT / ".git").exists() or "1.0.0" not in releases("HEAD"):
        pytest.skip("a checkout without the history of the releases")
    remotes = subprocess.check_output(["git", "remote"], cwd=ROOT, text=True).split()
    if "upstream" in remotes:
        pytest.skip("a clone, which upstream rehearses")
    command = [sys.executable, "-m", "tests.rehearsal", "--tests", "tests/invoices"]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout
    assert "| 1.0.0 | " in done.stdout

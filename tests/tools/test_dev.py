"""dev.py: the commands that the Makefile calls."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT
from tests.tools.checkout import copy_tree, run
from tools.env_file import write_env_file


def test_every_target_of_the_makefile_is_a_command_of_dev_py() -> None:
    listed = subprocess.check_output([sys.executable, "dev.py", "help"], cwd=ROOT, text=True)
    commands = set(re.findall(r"(?m)^  ([a-z-]+) ", listed))
    called = set(re.findall(r"(?m)^\t.*dev\.py ([a-z-]+)", (ROOT / "Makefile").read_text()))
    assert called
    assert called <= commands


@pytest.mark.parametrize("arguments", [["no-such-command"], ["run", "unexpected"]])
def test_unknown_command_or_argument_ends_with_one_line(arguments: list[str]) -> None:
    command = [sys.executable, "dev.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_embedded_database_is_created_in_a_fresh_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_tree(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for command in (["db", "upgrade"], ["seed", "--demo"]):
        run(tmp_path, "flask", "--app", "wsgi", *command, APP_ENV="development")
    assert (tmp_path / "instance" / "app.db").is_file()


def test_env_file_has_fresh_secrets_and_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("SECRET_KEY=change-me\nPASSWORD=change-me\nPORT=80\n")
    assert write_env_file(tmp_path)
    first = (tmp_path / ".env").read_text()
    key, password, port = (line.partition("=")[2] for line in first.splitlines())
    assert len(key) >= 64
    assert key != password
    assert port == "80"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert not write_env_file(tmp_path)
    assert (tmp_path / ".env").read_text() == first

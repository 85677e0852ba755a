"""`make check` runs its checks and prints the output of those that fail."""

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.tools.checkout import copy_tree, run
from tools import check

SUCCESS = [sys.executable, "-c", "print('a table')"]
FAILURE = [sys.executable, "-c", "print('a reason'); exit(1)"]


def test_check_prints_the_output_of_a_step_that_succeeds_only_where_asked() -> None:
    assert check.commands(SUCCESS, show=True) == check.Outcome("ok", "a table")
    assert check.commands(SUCCESS) == check.Outcome("ok")


def test_check_ends_with_the_first_command_that_fails_and_prints_its_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(check.CHECKS, "broken", lambda: check.commands(FAILURE, SUCCESS))
    monkeypatch.setitem(check.CHECKS, "sound", lambda: check.commands(SUCCESS))
    assert check.main(["broken", "sound"]) == 1
    first, reason, last = capsys.readouterr().out.splitlines()
    assert (first.split()[:2], reason) == (["broken", "FAILED"], "a reason")
    assert last.split()[:2] == ["sound", "ok"]


def test_a_check_that_does_not_exist_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["ruff-chekc"]) == 2
    assert "No check ruff-chekc" in capsys.readouterr().err


@pytest.mark.slow
def test_private_key_is_found_in_files_that_git_would_add(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / ".env").write_bytes(pem)
    run(tmp_path, "tools.check", "secrets")
    (tmp_path / "app" / "key.pem").write_bytes(pem)
    assert "app/key.pem" in run(tmp_path, "tools.check", "secrets", status=1)

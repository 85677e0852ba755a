"""`make check` runs its checks and prints the output of those that fail."""

import sys

import pytest

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

"""`make check` runs its steps and prints the output of those that fail."""

import sys

import pytest

import dev


@pytest.mark.parametrize(("show", "printed"), [(True, True), (False, False)])
def test_check_prints_the_output_of_a_step_that_succeeds_where_asked(
    capsys: pytest.CaptureFixture[str], show: bool, printed: bool
) -> None:
    assert dev.passes("step", [sys.executable, "-c", "print('a table')"], show=show)
    assert ("a table" in capsys.readouterr().out) == printed


def test_check_prints_the_output_of_a_step_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", "print('a table'); exit(1)"]
    assert not dev.passes("step", command)
    assert "a table" in capsys.readouterr().out

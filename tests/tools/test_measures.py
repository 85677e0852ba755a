"""`tools/measures.py` counts lines and finds code that is too long."""

import pytest

from tools import measures, public_interfaces

CODE = '''"""A docstring
of two lines."""

# Why it is so.
X = """a string
of two lines"""  # behind


def f():  # noqa: X
    """Docstring."""
    return (
        X
    )
# ---
'''


def test_lines_of_code_exclude_blanks_docstrings_and_comments() -> None:
    assert measures.count_lines(CODE) == (6, 1, 1)


def function(lines: int) -> str:
    return "@x\ndef f():\n" + "    1\n" * (lines - 1)


def test_function_above_the_limit_is_found() -> None:
    assert [*measures.long_functions({"app/x.py": function(40)})] == []
    assert [*measures.long_functions({"app/x.py": function(41)})] == ["app/x.py:2: f has 41 lines"]


def test_file_above_the_limit_is_found() -> None:
    assert [*measures.long_files({"app/x.py": "1\n" * 300})] == []
    assert [*measures.long_files({"app/x.py": "1\n" * 301})] == ["app/x.py: 301 lines"]


TREE = {
    "app/__init__.py": "1\n",
    "app/core/web/etags.py": "1\n" * 5,
    "app/core/web/problems.py": "1\n" * 7,
    "app/core/mail.py": "1\n" * 9,
    "app/notes/routes.py": "1\n" * 3,
    "app/notes/migrations/0001_notes.py": "1\n" * 400,
    "gunicorn.conf.py": "1\n" * 2,
    "tests/notes/test_notes.py": "1\n" * 8,
}


@pytest.fixture(autouse=True)
def no_private_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search through the whole tree has tests of its own."""
    monkeypatch.setattr(public_interfaces, "find_in_tree", list)


def test_measures_count_lines_by_folder_without_migrations() -> None:
    table = {what: value for what, value, _ in (*measures.rows(TREE), *measures.packages(TREE))}
    assert table["lines of app/"] == 25
    assert table["lines of app/core/"] == 21
    assert table["median file of app/core/"] == 7
    assert table["largest file of app/core/"] == 9
    assert table["app/core/web"] == 12
    assert table["app/core/mail.py"] == 9
    assert table["app/notes"] == 3
    assert table["lines of gunicorn.conf.py"] == 2
    assert table["lines of tests/"] == 8


@pytest.mark.parametrize(
    ("path", "text", "status"),
    [
        ("app/x.py", function(40), 0),
        ("app/x.py", function(41), 1),
        ("app/x.py", "1\n" * 301, 1),
        ("app/x/migrations/0001_x.py", "1\n" * 301, 0),
        ("tests/migrations/test_x.py", "1\n" * 301, 1),
        ("tests/x.py", "1\n" * 301, 1),
        ("bench/x.py", function(41), 1),
        ("docs/x.py", "1\n" * 301, 0),
    ],
)
def test_measures_fail_on_code_that_is_too_long(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    text: str,
    status: int,
) -> None:
    monkeypatch.setattr(measures, "read_tree", lambda: {"app/__init__.py": "", path: text})
    assert measures.main() == status
    printed = capsys.readouterr().out
    assert "lines of app/ " in printed
    assert ("too long:" in printed) == bool(status)

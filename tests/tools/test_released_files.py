"""Released migrations, and the files that belong to clones, stay as they were released."""

import shutil
from pathlib import Path

import pytest

from tests.tools.releases import RELEASE_1_0, RELEASE_1_1, commit, features, git, project
from tools import released_files
from tools.new_service import NAME

MIGRATION = "app/users/migrations/0001_users.py"
LATER = "app/users/migrations/0002_locale.py"
FIRST = {
    **RELEASE_1_0,
    "pyproject.toml": project(NAME, "1.0.0"),
    "app/features.py": f'{features("orders", "docs")}VERSION = "1.0.0"\n',
    "app/users/__init__.py": "",
    "app/orders/__init__.py": "",
    "app/orders/migrations/0001_orders.py": "orders\n",
}
NEXT = {
    "pyproject.toml": project(NAME, "1.1.0"),
    "CHANGELOG.md": RELEASE_1_1["CHANGELOG.md"],
    "app/features.py": f'{features("orders", "docs", "mfa")}VERSION = "1.1.0"\n',
    LATER: 'revision = "users_0002"\n',
}
CHANGED = "is released with {} and stays as it is: add another migration"
OWN = "belongs to the clones: it stays as it was in 1.0.0"
LIST = (
    "app/features.py belongs to the clones: since 1.0.0 only VERSION changes, and new features are"
    " the last"
)


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a repository with the releases 1.0.0 and 1.1.0."""
    where = tmp_path / "upstream"
    where.mkdir()
    git(where, "init", "-qb", "main")
    commit(where, "Release 1.0.0", FIRST)
    commit(where, "Release 1.1.0", NEXT)
    monkeypatch.chdir(where)
    return where


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"app/core/functions.py": "other\n"}, ""),
        ({"app/users/migrations/0003_more.py": "more\n"}, ""),
        ({"app/orders/__init__.py": None, "app/orders/migrations/0001_orders.py": None}, ""),
        ({MIGRATION: "other\n"}, f"{MIGRATION} {CHANGED.format('1.0.0')}"),
        ({LATER: None}, f"{LATER} {CHANGED.format('1.1.0')}"),
        ({"README.md": "other\n"}, f"README.md {OWN}"),
        ({"README.md": None}, f"README.md {OWN}"),
        ({".env": "new\n"}, f".env {OWN}"),
        ({"deploy/local/new.yml": "new\n"}, f"deploy/local/new.yml {OWN}"),
        ({"app/features.py": features("orders", "docs", title="Another")}, LIST),
        ({"app/features.py": features("mfa", "orders", "docs")}, LIST),
    ],
)
def test_change_of_a_released_file_is_refused(
    upstream: Path,
    files: dict[str, str | None],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commit(upstream, "Change", files)
    assert released_files.main() == (1 if reason else 0)
    assert capsys.readouterr().out.strip() == reason


def test_history_without_releases_of_upstream_is_not_checked(
    upstream: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(upstream, "clone", "-q", "--depth=1", f"file://{upstream}", "shallow")
    monkeypatch.chdir("shallow")
    assert released_files.main() == 2
    monkeypatch.chdir("..")
    # `flask remove feature` changes README.md as well.
    commit(upstream, "Orders", {"app/features.py": features("docs"), "README.md": "Docs\n"})
    assert released_files.main() == 2
    own = {"pyproject.toml": project("shop", "0.1.0"), "README.md": "Shop\n", MIGRATION: "own\n"}
    commit(upstream, "Release 0.1.0", own)
    assert released_files.main() == 2
    shutil.rmtree(".git")
    git(upstream, "init", "-qb", "main")
    Path("pyproject.toml").write_text(project(NAME, "1.1.0"))
    assert released_files.main() == 2
    assert capsys.readouterr().out.splitlines() == [
        "the history is incomplete: git fetch --unshallow",
        "there is no history",
    ]

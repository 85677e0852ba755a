"""Documents and deployment files agree with the code."""

import re
from dataclasses import fields
from pathlib import Path

from app.config import Settings
from tests.pooler import DIRECT_CONNECTION_TESTS, ROLE

ROOT = Path(__file__).parent.parent
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()


def test_example_resource_has_at_most_120_lines() -> None:
    files = (ROOT / "examples" / "notes").rglob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) <= 120


def test_example_env_file_names_every_setting() -> None:
    named = set(re.findall(r"^#?\s?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {field.name.upper() for field in fields(Settings)} - {"CACHE_DIR"} <= named


def test_security_document_names_existing_tests() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)
    missing = [
        (file, test)
        for file, test in named
        if (path := ROOT / "tests" / file).parent.is_dir()  # else of a feature that was removed
        and not (path.is_file() and f"def {test or ''}" in path.read_text())
    ]
    assert len(named) > 50
    assert missing == []


def test_tests_excluded_from_the_pooler_run_exist() -> None:
    sources = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in DIRECT_CONNECTION_TESTS if f"def {name}(" not in sources] == []


def test_runbook_describes_exactly_the_alerts() -> None:
    rules = (ROOT / "deploy" / "observability" / "prometheus" / "alerts.yml").read_text()
    described = re.findall(r"^\| `(\w+)` \|", RUNBOOK.partition("## Alerts")[2], re.MULTILINE)
    assert described == re.findall(r"- alert: (\w+)", rules)


def test_runbook_and_tests_set_the_same_role_settings() -> None:
    documented = set(re.findall(r"ALTER ROLE app SET (\w+) =", RUNBOOK))
    assert documented == set(ROLE)


def test_runbook_names_existing_targets_and_files() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", RUNBOOK)) <= targets
    paths = re.findall(r"`((?:docs|deploy)/[\w./-]+)`", RUNBOOK)
    assert len(paths) > 5
    assert all((ROOT / path).exists() for path in paths)

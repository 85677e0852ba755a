"""What keeps the code base what it is meant to be."""

import re
from dataclasses import fields
from pathlib import Path

from app.config import Settings

ROOT = Path(__file__).parent.parent


def test_the_next_resource_stays_within_120_lines() -> None:
    files = (ROOT / "examples" / "notes").rglob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) <= 120


def test_the_example_settings_name_every_setting() -> None:
    named = set(re.findall(r"^#?\s?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert {field.name.upper() for field in fields(Settings)} - {"CACHE_DIR"} <= named


def test_the_security_document_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text)
    missing = [
        (file, test)
        for file, test in named
        if not (path := ROOT / "tests" / file).is_file()
        or f"def {test or ''}" not in path.read_text()
    ]
    assert len(named) > 50
    assert missing == []

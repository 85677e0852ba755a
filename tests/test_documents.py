"""The commands in the documents, run against a live gunicorn."""

from pathlib import Path

import pytest

from tests.live import serve
from tests.transcript import matches, read_steps, run_steps

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.parametrize("document", ["README.md", "docs/http.md", "docs/auth.md"])
def test_commands_of_the_document_print_what_it_shows(document: str, tmp_path: Path) -> None:
    steps = read_steps(ROOT / document)
    settings = {"CACHE_DIR": str(tmp_path), "AUTH_COOKIES": "true"}
    with serve(f"sqlite:///{tmp_path}/live.db", **settings) as live:
        replace = {"http://127.0.0.1:8000": live.url, "service.log": str(live.log)}
        done = run_steps(steps, replace, tmp_path)
    wrong = [(step, printed) for step, printed in done if not matches(step.expected, printed)]
    assert wrong == []
    assert len(done) == len(steps) >= 5

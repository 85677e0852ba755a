"""The walk-through of the README, run against a live gunicorn."""

from pathlib import Path

from tests.live import serve
from tests.transcript import agrees, read_steps, run_steps

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_shows_what_happens(tmp_path: Path) -> None:
    steps = read_steps(README)
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path)) as live:
        done = run_steps(steps, {"http://127.0.0.1:8000": live.url})
    wrong = [(step, printed) for step, printed in done if not agrees(step.expected, printed)]
    assert wrong == []
    assert len(done) == len(steps) > 8

"""The commands of the section in docs/auth.md, run against a live gunicorn and two providers."""

from pathlib import Path

import pytest

from tests.live import ROOT, serve
from tests.oidc.conftest import environment
from tests.oidc.provider import Provider
from tests.transcript import matches, read_steps, run_steps


@pytest.mark.slow
def test_commands_of_the_section_print_what_it_shows(
    provider: Provider, another: Provider, tmp_path: Path
) -> None:
    text = (ROOT / "docs" / "auth.md").read_text()
    definitions, _, _ = text.partition("\n## ")
    section = text.partition("\n## OpenID Connect\n")[2].partition("\n## ")[0]
    document = tmp_path / "section.md"
    document.write_text(definitions + section.replace("```sh-session", "```console"))
    steps = read_steps(document)
    settings = {"CACHE_DIR": str(tmp_path), **environment(example=provider, another=another)}
    with serve(f"sqlite:///{tmp_path}/live.db", **settings) as live:
        done = run_steps(steps, {"http://127.0.0.1:8000": live.url}, tmp_path)
    assert [(s, printed) for s, printed in done if not matches(s.expected, printed)] == []
    assert len(done) == len(steps) > 12

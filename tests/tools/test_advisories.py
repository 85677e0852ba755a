"""`tools/advisories.py` reads known vulnerabilities from the package index."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "advisories.py"
FLAW = {"id": "PYSEC-2026-1", "fixed_in": [], "withdrawn": None}
FILE = {"yanked": False, "yanked_reason": None}
YANKED = {"yanked": True, "yanked_reason": "deletes everything"}

Judge = Callable[..., subprocess.CompletedProcess[str]]


def project(newest: str = "2.0", flaws: tuple[Any, ...] = (), **releases: Any) -> dict[str, Any]:
    known = {"1.0": [FILE], "2.0": [FILE], **releases}
    return {"info": {"version": newest}, "releases": known, "vulnerabilities": list(flaws)}


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Judge]:
    """`judge("sound==2.0", sound=project())` checks a lock against these projects of an index."""
    projects: dict[str, Any] = {}

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = projects.get(self.path.removeprefix("/pypi/").removesuffix("/json"))
            body = json.dumps(found).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever).start()

        def run(*pins: str, **known: Any) -> subprocess.CompletedProcess[str]:
            projects.update(known)
            lock = tmp_path / "requirements.lock"
            lock.write_text("".join(f"{pin} \\\n    --hash=sha256:00\n" for pin in pins))
            url = f"http://user:s3cret@127.0.0.1:{server.server_port}/simple/"
            return subprocess.run(
                [sys.executable, SCRIPT, lock],
                env={"PIP_INDEX_URL": url, "NO_PROXY": "*"},
                capture_output=True,
                text=True,
            )

        yield run
        server.shutdown()


def test_advisories_pass_sound_versions_and_name_unchecked_ones(judge: Judge) -> None:
    withdrawn = FLAW | {"withdrawn": "2026-01-01T00:00:00Z"}
    done = judge(
        "sound==2.0", "old==1.0 ; sys_platform == 'x'",
        sound=project("2.0.0", (withdrawn,)), old=project(flaws=(FLAW,)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "none of 2 versions was withdrawn, no flaw is known of the 1 newest" in done.stdout
    assert "vulnerabilities not checked of old 1.0" in done.stdout


@pytest.mark.parametrize(
    ("pin", "known", "said"),
    [
        ("bad==2.0", project(flaws=(FLAW,)), "bad 2.0 has PYSEC-2026-1, fixed in no release"),
        ("bad==1.0", project(**{"1.0": [YANKED]}), "bad 1.0 was withdrawn: deletes everything"),
        ("bad==3.0", project(), "bad 3.0 is no longer in the index"),
        ("bad==1.0", None, "bad 1.0 is no longer in the index"),
    ],
    ids=["a known flaw", "withdrawn", "a version that is gone", "a project that is gone"],
)
def test_advisories_fail_and_name_the_unsound_version(
    judge: Judge, pin: str, known: Any, said: str
) -> None:
    done = judge("sound==2.0", pin, sound=project(), bad=known)
    assert done.returncode == 1
    assert done.stderr.strip() == said


def test_advisories_report_an_index_that_does_not_answer(judge: Judge) -> None:
    done = judge("sound==2.0")
    assert done.returncode == 2
    assert "could not be asked" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr

"""A service that cannot start says why in one line, in whichever process it is started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services

ROOT = Path(__file__).parent.parent
MISTAKE = '\n\n@users.get("/oldest", access=permission("users:mng"))\n@users.returns(UserSchema)\n'
VIEW = 'def read_oldest() -> ScopedSelect:\n    """Read the oldest user."""\n    return ()\n'
MESSAGE = "app.users.routes.read_oldest (users.read_oldest): no role has the permission 'users:mng'"
COMMANDS = {
    "flask": ["flask", "--app", "wsgi", "endpoints"],
    "gunicorn": ["gunicorn"],
    # begin jobs
    "celery": ["celery", "--app", "wsgi:celery", "report"],
    # end jobs
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy of the service with a mistake in a routes file."""
    skipped = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=skipped)
    for name in ("wsgi.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "app" / "users" / "routes.py").open("a") as routes:
        routes.write(MISTAKE + VIEW)
    return tmp_path


def start(command: str, folder: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    environ |= {"DATABASE_URL": f"sqlite:///{folder}/app.db", "CACHE_DIR": str(folder)}
    environ |= {"BIND": "127.0.0.1:0", "WEB_CONCURRENCY": "4", "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-m", *COMMANDS[command]],
        cwd=folder,
        env={"APP_ENV": "testing", "SECRET_KEY": "x" * 40} | environ,
        capture_output=True,
        text=True,
        timeout=services.SECONDS,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_mistake_in_a_declaration_stops_the_start_with_one_line(broken: Path, command: str) -> None:
    stopped = start(command, broken)
    assert stopped.returncode in (1, 3)
    assert stopped.stderr.splitlines().count(MESSAGE) == 1
    assert "Traceback" not in stopped.stdout + stopped.stderr

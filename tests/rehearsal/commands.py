"""Commands in the scratch repositories of a rehearsal."""

import os
import subprocess
import sys
from pathlib import Path

# The defaults: the settings of the caller are not those of the clone.
ENVIRON = {
    **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
    "APP_ENV": "testing",
    "FLASK_SKIP_DOTENV": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    **{f"GIT_{who}_NAME": "Rehearsal" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "rehearsal@example.com" for who in ("AUTHOR", "COMMITTER")},
}


def git(where: Path, *arguments: str) -> str:
    """The output of a Git command."""
    command = ["git", *arguments]
    return subprocess.check_output(command, cwd=where, env=ENVIRON, text=True).strip()


def flask(where: Path, *arguments: str, **environ: str) -> str:
    """The output of a command of the service."""
    return python(where, "-m", "flask", *arguments, **environ)


def python(where: Path, *arguments: str, **environ: str) -> str:
    """The standard output of Python in a directory.

    Raises:
        CalledProcessError: the command failed; its errors are printed.
    """
    command = [sys.executable, *arguments]
    return subprocess.check_output(command, cwd=where, env=ENVIRON | environ, text=True)

"""Write openapi.json from the routes."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def write() -> None:
    """Write openapi.json in a new process, which has the features and the default settings."""
    environ = {**os.environ, "APP_ENV": "testing", "PASSWORD_MIN_LENGTH": ""}
    command = [sys.executable, "-m", "flask", "openapi"]
    document = subprocess.check_output(command, cwd=ROOT, env=environ)
    (ROOT / "openapi.json").write_bytes(document)


if __name__ == "__main__":
    write()

"""Sort imports, remove unused ones and format, with ruff: all files, or those of the arguments."""

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

RUFF = (sys.executable, "-m", "ruff")


def is_installed() -> bool:
    """Whether ruff is installed."""
    return not subprocess.run([*RUFF, "--version"], capture_output=True).returncode


def format_files(paths: Collection[Path]) -> None:
    """Sort the imports of these files, remove unused ones and format them."""
    if not paths:
        return
    files = list(map(str, paths))
    for command in (["check", "-q", "--fix-only", "--select", "I,F401"], ["format", "-q"]):
        subprocess.run([*RUFF, *command, *files], check=True)


if __name__ == "__main__":
    try:
        format_files([Path(each) for each in sys.argv[1:] or ["."]])
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)

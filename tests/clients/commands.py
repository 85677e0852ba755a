"""The commands that generate clients."""

import os
import subprocess
import sys
from pathlib import Path

from tests.live import ROOT

OPENAPI = ROOT / "openapi.json"
NODE_MODULES = ROOT / "tools" / "node_modules"
_PATH = (str(Path(sys.executable).parent), str(NODE_MODULES / ".bin"), os.environ["PATH"])


def run(*command: object, where: Path) -> str:
    """The output of a command that must succeed; programs of Python and npm packages are found."""
    environ = {**os.environ, "PATH": os.pathsep.join(_PATH)}
    done = subprocess.run(
        list(map(str, command)), cwd=where, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def generate(generator: str, folder: Path, *options: str) -> Path:
    """The folder with the client that a generator of openapi-generator writes."""
    command = ("openapi-generator-cli", "generate", "-g", generator, "-i", OPENAPI)
    extras = ("modelTests", "apiTests", "modelDocs", "apiDocs")
    nothing_else = ("--global-property", ",".join(f"{extra}=false" for extra in extras))
    run(*command, "-o", folder / generator, *nothing_else, *options, where=folder)
    return folder / generator

"""The nginx of the stack with its shipped configuration, in front of a live service."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import services
from tests.live import Live

SHIPPED = Path(__file__).parent.parent / "deploy" / "nginx"


@dataclass(frozen=True)
class Nginx:
    """A running nginx."""

    port: int
    access_log: Path
    error_log: Path


@contextmanager
def in_front_of(live: Live, folder: Path, **changes: str) -> Iterator[Nginx]:
    """Yield nginx in front of `live`; skip the test if nginx is not installed.

    Addresses and paths of the shipped configuration are replaced; `changes` are more replacements.
    """
    binary = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if not binary:
        pytest.skip("no nginx")
    nginx = Nginx(services.free_port(), folder / "access.log", folder / "error.log")
    replacements = {
        "/tmp/": f"{folder}/",
        "/dev/stdout": str(nginx.access_log),
        "/dev/stderr": str(nginx.error_log),
        "listen 8080 default_server": f"listen 127.0.0.1:{nginx.port} default_server",
        "listen 127.0.0.1:8081": f"listen 127.0.0.1:{services.free_port()}",
        "http://web:8000": f"http://{urlsplit(live.url).netloc}",
        "${CORS_ORIGINS}": "",
        "${FRONT_PROXY}": "255.255.255.255",
        "${SCRIPT_NAME}": "",
        **changes,
    }
    for file in (*SHIPPED.glob("*.conf"), *SHIPPED.glob("templates/*.template")):
        text = re.sub(
            "|".join(map(re.escape, replacements)),
            lambda found: replacements[found[0]],
            file.read_text(),
        )
        (folder / file.name.removesuffix(".template")).write_text(text)
    command = [binary, "-p", folder, "-c", folder / "nginx.conf", "-e", nginx.error_log]
    subprocess.run([*command, "-t", "-q"], check=True)
    # Workers of root would switch to a user without access to the folder.
    user = "" if os.geteuid() else " user root;"
    process = subprocess.Popen([*command, "-g", f"daemon off;{user}"])
    try:
        _wait_for(nginx, process)
        yield nginx
    finally:
        process.terminate()
        process.wait(services.SECONDS)


def _wait_for(nginx: Nginx, process: subprocess.Popen[bytes]) -> None:
    """Return once nginx takes connections."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", nginx.port), services.SECONDS).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"nginx ended: {nginx.error_log.read_text()}")

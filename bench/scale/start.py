"""The time of a start."""

import os
import subprocess
import sys
import time
from http.client import HTTPConnection
from statistics import median
from typing import Any

from bench import database
from bench.measure import cpu_seconds, process_tree
from bench.rows import API
from bench.scale.database import SIZES
from bench.scale.place import Figures, Lines, Place
from bench.scale.tables import table_of
from bench.systems import SETTINGS, servers
from tests.services import free_port

STARTS = 9


def start(place: Place) -> Figures:
    """Seconds from the start of gunicorn to the first responses, and their CPU."""
    for n in range(STARTS + 1):
        took = start_once(place, place.url(SIZES[0]))
        if n:  # the first start compiles Python's files
            yield took


def start_once(place: Place, url: str) -> dict[str, float]:
    port = free_port()
    environ = os.environ | SETTINGS | servers(url, place.redis) | {"BIND": f"127.0.0.1:{port}"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the image has its files compiled
    with (place.folder / "start.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn"],
            cwd=database.ROOT, env=environ, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            took = {}
            for name, path in (("live", "/health/live"), ("page", f"{API}/products")):
                while not answers(port, path):
                    if process.poll() is not None or time.perf_counter() > began + 30:
                        raise RuntimeError((place.folder / "start.log").read_text()[-2000:])
                    time.sleep(0.005)
                took[name] = time.perf_counter() - began
            every = [cpu_seconds(worker) for worker in process_tree(process.pid)[1:]]
            return took | {"cpu": cpu_seconds(process.pid) - sum(every) + max(every)}
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def show_start(found: list[dict[str, Any]]) -> Lines:
    titles = {
        "live": "first 200 of /health/live",
        "page": "first page of products",
        "cpu": "CPU until then, of the master and a worker",
    }
    lines = [
        [title, f"{min(values):.2f}", f"{median(values):.2f}"]
        for name, title in titles.items()
        for values in [[each[name] for each in found]]
    ]
    return table_of(["from the start of gunicorn", "minimum, s", "median, s"], lines)

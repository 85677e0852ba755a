"""One of our systems in a process of its own, called without a server, to measure CPU only.

    python -m bench.inprocess NAME

writes one JSON line to standard output for each line on standard input, as `Child` sends them.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.rows import ROWS, World
from bench.systems import SETTINGS, SYSTEMS, servers

Environ = dict[str, Any]


class Local:
    """A WSGI application with the interface of `bench.systems.Running`."""

    def __init__(self, name: str) -> None:
        module, _, attribute = SYSTEMS[name].command[-1].partition(":")
        self.system = SYSTEMS[name]
        self.app: Callable[..., Any] = getattr(importlib.import_module(module), attribute)

    def call(self, request: str) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields and body of the response."""
        status, headers, body = self.run(environ_of(request))
        return int(status.split()[0]), {name.lower(): value for name, value in headers}, body

    def run(self, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        """The same in the terms of WSGI."""
        seen: list[Any] = []
        chunks = self.app(environ, lambda *arguments: seen.extend(arguments[:2]))
        body = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
        return seen[0], seen[1], body

    def prepare(self, row: str, world: World, count: int) -> list[Environ]:
        """`count` requests of the row, created before the measurement."""
        made = ROWS[row].make(world, self)  # type: ignore[arg-type]
        environs = []
        for n in range(count):
            request = made[n % len(made)].replace("{{n}}", f"{n:010}")
            if ROWS[row].tracks_versions:
                _, version, request = request.split(" ", 2)
                request = request.replace("{{version}}", version)
            environs.append(environ_of(request))
        return environs

    def measure(self, row: str, world: World, count: int) -> list[float]:
        """CPU seconds of each of `count` requests."""
        environs = self.prepare(row, world, count)
        gc.collect()
        answers, clock = [], [time.process_time()]
        for environ in environs:
            answers.append(self.run(environ)[0])
            clock.append(time.process_time())
        if not {int(status.split()[0]) for status in answers} <= {ROWS[row].status, 304}:
            raise RuntimeError(f"{self.system.name}, {row}: {set(answers)}")
        return [after - before for before, after in pairwise(clock)]


def environ_of(request: str) -> Environ:
    """The WSGI environment of a request as it goes over the wire."""
    head, _, body = request.partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    method, target, protocol = first.split()
    path, _, query = target.partition("?")
    environ: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": protocol,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body.encode()),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for field in fields:
        name, _, value = field.partition(": ")
        key = name.upper().replace("-", "_")
        plain = key in ("CONTENT_TYPE", "CONTENT_LENGTH")
        environ[key if plain else f"HTTP_{key}"] = value
    return environ


class Child:
    """A process with one of our systems in it."""

    def __init__(self, name: str, process: "subprocess.Popen[str]") -> None:
        self.name = name
        self._process = process

    def ask(self, **question: Any) -> Any:
        """The answer to one question: `products`, or `row` with `count` and `world`."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended")
        return json.loads(answer)


@contextmanager
def child(name: str, database: str, redis: str, tree: Path) -> Iterator[Child]:
    """Yield the system as a tree has it, in a new process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.inprocess", name],
        cwd=tree,
        env=os.environ | SETTINGS | servers(database, redis) | {"PYTHONPATH": str(tree)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Child(name, process)
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Answer questions until standard input ends."""
    # The application logs to standard output, so the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    local, world = Local(sys.argv[1]), World(os.environ["DATABASE_URL"])
    gc.freeze()  # makes the collection before each measurement fast
    for line in sys.stdin:
        question = json.loads(line)
        if "products" in question:
            world.load(local, question["products"])  # type: ignore[arg-type]
            answer: Any = [world.token, world.ids]
        else:
            world.token, world.ids = question["world"]
            answer = local.measure(question["row"], world, question["count"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()

"""Requests per second with and without the cache of nginx: `python -m bench.cached`.

The same anonymous requests to the shipped nginx, with two gunicorn workers and a small catalogue:
with a cookie, which bypasses the cache, and without; in turn, A B A B.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.database import fill
from bench.rows import API, Row, World
from bench.run import load, require_wrk
from bench.systems import SYSTEMS, Running, serve
from tests import services
from tests.live import Live
from tests.nginx import in_front_of

PRODUCTS, ITEMS = 5_000, 100
ROUNDS, SECONDS = 5, 4


def main() -> None:
    """Measure and print requests per second, the medians of the rounds."""
    parser = argparse.ArgumentParser(prog="python -m bench.cached")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="(%(default)s)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="a round (%(default)s)")
    options = parser.parse_args()
    require_wrk()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-cached-")))
        world = World(stack.enter_context(services.postgres()))
        redis = stack.enter_context(services.redis())
        fill(world.database, PRODUCTS)
        ours = stack.enter_context(serve(SYSTEMS["full"], world.database, redis, folder / "log"))
        world.load(ours, PRODUCTS)
        live = Live(f"http://127.0.0.1:{ours.port}", None, folder / "log")  # type: ignore[arg-type]
        nginx = stack.enter_context(in_front_of(live, folder))
        running = Running(ours.system, nginx.port, ours.pid)
        print(f"{'requests per second':22}{'uncached':>10}{'cached':>10}{'times':>8}")
        for title, paths in {
            "page of 20": [f"{API}/products"],
            "product by id": [f"{API}/products/{id_}" for id_ in world.ids[:ITEMS]],
        }.items():
            uncached, cached = measure(title, paths, world, running, folder, options)
            print(f"{title:22}{uncached:10.0f}{cached:10.0f}{cached / uncached:8.1f}", flush=True)


def measure(
    title: str,
    paths: list[str],
    world: World,
    running: Running,
    folder: Path,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Requests per second without and with the cache."""
    rows = [
        Row(title, title, lambda *_, cookie=cookie: [_get(path, cookie) for path in paths])
        for cookie in ("Cookie: past=the-cache\r\n", "")
    ]
    for row, expected in zip(rows, (None, "nginx; hit"), strict=True):
        load(row, world, running, folder, 1)
        status = running.call(row.make(world, running)[0])[1].get("cache-status")
        if status != expected:
            raise RuntimeError(f"{title}: Cache-Status is {status}, not {expected}")
    seen: list[list[float]] = [[], []]
    for _ in range(options.rounds):
        for row, rates in zip(rows, seen, strict=True):
            rates.append(load(row, world, running, folder, options.seconds)["rate"])
    return median(seen[0]), median(seen[1])


def _get(path: str, cookie: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n"


if __name__ == "__main__":
    main()

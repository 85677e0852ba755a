"""A sampling profile of one kind of request: `make bench-profile ARGS="by-id"`.

The process samples its own stack every millisecond of CPU while it handles requests of one row, and
prints the tree of calls in microseconds per request.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from bench.database import fill
from bench.systems import OURS, SETTINGS, servers
from tests import services

PRODUCTS, REQUESTS = 5_000, 200
THRESHOLD = 0.02  # of the total; smaller branches are not printed

Stack = tuple[str, ...]


def main() -> None:
    """Profile the row that the arguments name."""
    parser = argparse.ArgumentParser(prog="make bench-profile ARGS=...")
    parser.add_argument("row", help="as `make bench` names it: by-id, page-20, create, ...")
    parser.add_argument("--system", choices=[*OURS, "limit"], default="full")
    parser.add_argument("--seconds", type=float, default=10, help="of CPU (10)")
    options = parser.parse_args()
    with services.postgres() as url, services.redis() as redis:
        fill(url, PRODUCTS)
        profile(options.row, options.system, options.seconds, url, redis)


def profile(row: str, system: str, seconds: float, url: str, redis: str) -> None:
    """Run requests for `seconds` of CPU and print the tree."""
    os.environ |= SETTINGS | servers(url, redis)
    from bench.inprocess import Local
    from bench.rows import World

    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    world = World(url)
    world.load(Local("full"), PRODUCTS)  # type: ignore[arg-type]
    local = Local(system)
    local.measure(row, world, REQUESTS)  # statements are compiled and prepared by then
    seen: Counter[Stack] = Counter()

    def look(_signal: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None and frame.f_code.co_name != "run":
            stack.append(_label(frame))
            frame = frame.f_back
        if frame is not None:
            seen[tuple(reversed(stack))] += 1

    signal.signal(signal.SIGPROF, look)
    spent, count = 0.0, 0
    while spent < seconds:
        environs = local.prepare(row, world, REQUESTS)
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        for environ in environs:
            local.run(environ)
        signal.setitimer(signal.ITIMER_PROF, 0)
        spent += time.process_time() - began
        count += REQUESTS
    micros = spent / count * 1e6
    print(f"{system}, {row}: {micros:.0f} µs of CPU per request", file=out)
    show(seen, micros / seen.total(), seen.total() * THRESHOLD, out)
    out.flush()


def _label(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    folder = path.parent.name
    return f"{folder}/{path.stem}.{frame.f_code.co_qualname}"


def show(seen: "Counter[Stack]", unit: float, minimum: float, out: object, depth: int = 0) -> None:
    """Print the branches, the most expensive first; of a chain of single calls only its end."""
    branches: dict[str, Counter[Stack]] = {}
    for stack, times in seen.items():
        if stack:
            branches.setdefault(stack[0], Counter())[stack[1:]] += times
    for label, below in sorted(branches.items(), key=lambda each: -each[1].total()):
        if below.total() < minimum:
            continue
        whole = below.total()
        while len(following := {stack[0] for stack in below if stack}) == 1 and () not in below:
            [step] = following
            label = step
            below = Counter({stack[1:]: times for stack, times in below.items()})
        print(f"{whole * unit:8.0f}  {'  ' * depth}{label}", file=out)
        show(below, unit, minimum, out, depth + 1)


if __name__ == "__main__":
    sys.exit(main())

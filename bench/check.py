"""Compare the CPU of a request with the baseline: `make bench-check`.

Ours and the limit program handle the same requests in turn, each in its own process, without a
server. The first decile counts, because other load only adds time. The ratio of the two is compared
with `bench/baseline.json`, which makes it independent of the machine.

    python -m bench.check --save     replaces the baseline
"""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles

from bench.database import fill
from bench.inprocess import child
from bench.rows import ROWS, World
from bench.systems import OURS
from tests import services

BASELINE = Path(__file__).with_name("baseline.json")
PRODUCTS = 5_000
BLOCKS, REQUESTS = 24, 20  # of each row and system
ALLOWED = 1.15  # times the baseline
CHECKED = [name for name, row in ROWS.items() if name != "login" and not row.only]


def main() -> None:
    """Measure, compare, and exit with 1 if a row needs too much CPU."""
    parser = argparse.ArgumentParser(prog="make bench-check ARGS=...")
    parser.add_argument("--save", action="store_true", help="replace the baseline")
    options = parser.parse_args()
    costs = measure()
    ratios = {
        ours: {row: round(costs[ours][row] / costs["limit"][row], 2) for row in CHECKED}
        for ours in OURS
    }
    if options.save:
        BASELINE.write_text(json.dumps(ratios, indent=2) + "\n")
    baseline = json.loads(BASELINE.read_text())
    print(f"{'':26}limit µs  " + "  ".join(f"{ours}: times (was)" for ours in OURS))
    worse = []
    for row in CHECKED:
        line = f"{ROWS[row].title:26}{costs['limit'][row] * 1e6:8.0f}  "
        for ours in OURS:
            now, was = ratios[ours][row], baseline[ours][row]
            mark = "!" if now > was * ALLOWED else " "
            worse += [f"{ours}, {ROWS[row].title}"] if mark == "!" else []
            line += f"{now:10.2f} ({was:.2f}){mark} "
        print(line)
    if worse:
        sys.exit(f"More than {ALLOWED - 1:.0%} above the baseline: {'; '.join(worse)}")


def measure() -> dict[str, dict[str, float]]:
    """CPU seconds per request by system and row, the first decile."""
    with ExitStack() as stack:
        world = World(stack.enter_context(services.postgres()))
        redis = stack.enter_context(services.redis())
        fill(world.database, PRODUCTS)
        systems = [stack.enter_context(child(name, world, redis)) for name in ("limit", *OURS)]
        token, ids = systems[1].ask(products=PRODUCTS)
        answer = token, ids[:REQUESTS]
        costs: dict[str, dict[str, float]] = {each.name: {} for each in systems}
        for row in CHECKED:
            seen: dict[str, list[float]] = {each.name: [] for each in systems}
            for _ in range(BLOCKS):
                for each in systems:
                    seen[each.name] += each.ask(row=row, count=REQUESTS, world=answer)
            for name, all_ in seen.items():
                costs[name][row] = quantiles(all_, n=10)[0]
    return costs


if __name__ == "__main__":
    main()

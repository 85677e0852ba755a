"""Compare the CPU of a request with that of another revision: `make bench-check`.

Both revisions handle the same requests in turn, in one run, each in its own process without a
server. The first decile counts, because other load only adds time. Rows that the other revision
lacks are left out.

    python -m bench.check --base REVISION     by default the last release
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from bench.database import ROOT
from bench.inprocess import child
from bench.rows import ROWS
from bench.systems import OURS
from tests import services
from tools.release import last_release

PRODUCTS = 5_000
BLOCKS, REQUESTS = 24, 20  # of each row, system and revision
ALLOWED = 1.15  # times the CPU of the other revision
CHECKED = [name for name, row in ROWS.items() if name != "login" and not row.only]
FILL = f"import sys; from bench.database import fill; fill(sys.argv[1], {PRODUCTS})"


def main() -> None:
    """Measure, compare, and exit with 1 if a row needs too much CPU."""
    parser = argparse.ArgumentParser(prog="make bench-check ARGS=...")
    parser.add_argument("--base", help="a Git revision, by default the last release")
    parser.add_argument("--rows", default=",".join(CHECKED))
    options = parser.parse_args()
    release = last_release()
    name, revision = (options.base, options.base) if options.base else release or ("", "")
    if not name:
        print("Before the first release there is nothing to compare with; ARGS='--base REVISION'")
        return
    worse = []
    print(f"{'':6}{'':26}{name:>12} µs {'here µs':>9} {'times':>7}")
    with checkout(revision) as base:
        known = (base / "bench" / "rows.py").read_text()
        rows = [name for name in options.rows.split(",") if f'Row("{name}"' in known]
        for system in OURS:
            worse += compare(base, system, rows)
    if worse:
        sys.exit(f"More than {ALLOWED - 1:.0%} above {name}: {'; '.join(worse)}")


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Yield a folder with the tree of a revision."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def compare(base: Path, system: str, rows: list[str]) -> Iterator[str]:
    """Measure and print the rows; iterate over the names of those that need too much CPU."""
    with ExitStack() as stack:
        redis = stack.enter_context(services.redis())
        systems = []
        for tree in (base, ROOT):
            database = stack.enter_context(services.postgres())
            subprocess.run(
                [sys.executable, "-c", FILL, database], cwd=tree, check=True, capture_output=True
            )
            each = stack.enter_context(child(system, database, redis, tree))
            token, ids = each.ask(products=PRODUCTS)
            systems.append((each, (token, ids[:REQUESTS])))
        for row in rows:
            costs: list[list[float]] = [[], []]
            ratios = []
            for _ in range(BLOCKS):
                block = [each.ask(row=row, count=REQUESTS, world=world) for each, world in systems]
                costs = [all_ + new for all_, new in zip(costs, block, strict=True)]
                ratios.append(quantiles(block[1], n=10)[0] / quantiles(block[0], n=10)[0])
            before, now = (quantiles(all_, n=10)[0] * 1e6 for all_ in costs)
            times = median(ratios)
            mark = "!" if times > ALLOWED else ""
            title = ROWS[row].title
            print(f"{system:6}{title:26}{before:15.0f} {now:9.0f} {times:7.2f}{mark}", flush=True)
            if mark:
                yield f"{system}, {title}"


if __name__ == "__main__":
    main()

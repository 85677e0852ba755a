"""python -m bench.scale [pages] [filters] [counts] [memory] [workers] [start] [imports]

Pages and counts are measured on tables of 10,000, a million and ten million products, each in a
database of its own. PostgreSQL generates them once, in some minutes and about 5 GB.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import database
from bench.run import RESULTS, describe
from bench.scale.database import UNLOGGED
from bench.scale.filters import counts, filters, show_times
from bench.scale.imports import imports, show_imports
from bench.scale.memory import memory, show_memory
from bench.scale.pages import ROUNDS, pages, show_pages
from bench.scale.place import Figures, Lines, Place, say
from bench.scale.start import show_start, start
from bench.scale.workers import show_workers, workers
from tests import services

WHAT: dict[str, tuple[Callable[[Place], Figures], Callable[[list[dict[str, Any]]], Lines]]] = {
    "pages": (pages, show_pages),
    "filters": (filters, show_times),
    "counts": (counts, show_times),
    "memory": (memory, show_memory),
    "workers": (workers, show_workers),
    "start": (start, show_start),
    "imports": (imports, show_imports),
}


def main() -> None:
    """Run the measurements that the arguments name, print and store the results."""
    parser = argparse.ArgumentParser(prog="make bench-scale ARGS=...")
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(WHAT)}")
    options = parser.parse_args()
    if unknown := set(options.what) - set(WHAT):
        parser.error(f"{unknown.pop()} is not one of {', '.join(WHAT)}")
    # The application logs to standard output, so the figures get a descriptor of their own.
    figures = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with ExitStack() as stack:
        server = stack.enter_context(database.cluster(**UNLOGGED))
        redis = stack.enter_context(services.redis())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        about = describe(server, ROUNDS, 0) | {"load": os.getloadavg()[0]}
        kept, place = [about], Place(server, redis, folder)
        for name in options.what or WHAT:
            measure, show_ = WHAT[name]
            found = list(measure(place))
            print(f"\n**{name}**\n", *show_(found), sep="\n", file=figures, flush=True)
            kept += [{"what": name, **each} for each in found]
    (RESULTS / "scale").mkdir(parents=True, exist_ok=True)
    file = RESULTS / "scale" / f"{about['date'][:16].replace(':', '')}-{about['commit']}.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in kept))
    say(f"Written to {file}")


if __name__ == "__main__":
    main()

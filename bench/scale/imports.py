"""The time of the imports of a start, by package."""

import os
import subprocess
import sys
from collections import Counter
from typing import Any

from bench import database
from bench.scale.database import SIZES
from bench.scale.place import Figures, Lines, Place
from bench.scale.start import STARTS
from bench.scale.tables import table_of
from bench.systems import SETTINGS, servers


def imports(place: Place) -> Figures:
    """The time of `import wsgi` by package, the minimum of some runs."""
    environ = os.environ | SETTINGS | servers(place.url(SIZES[0]), place.redis)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    minimum: dict[str, tuple[int, int]] = {}
    for _ in range(STARTS):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import wsgi"],
            cwd=database.ROOT, env=environ, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = packages(done.stderr)
        for name, times in found.items():
            minimum[name] = min(times, minimum.get(name, times), key=sum)
    for name, (own, whole) in minimum.items():
        yield {"package": name, "own": own / 1e6, "whole": whole / 1e6}


def packages(printed: str) -> dict[str, tuple[int, int]]:
    """Microseconds of each package alone, and with the packages that it imports first."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    above: list[str] = []  # the packages of the modules that import this one, outermost first
    for line in reversed(printed.splitlines()):  # a module is printed after those that it imports
        times, bar, name = line.removeprefix("import time:").rpartition("|")
        if not bar or not line.startswith("import time:") or "cumulative" in line:
            continue
        alone, _, all_ = times.partition("|")
        depth = (len(name) - len(name.lstrip()) - 1) // 2
        package = name.strip().partition(".")[0]
        del above[depth:]
        own[package] += int(alone)
        whole[package] += int(all_) if package not in above else 0
        above.append(package)
    return {name: (own[name], whole[name]) for name in own}


def show_imports(found: list[dict[str, Any]]) -> Lines:
    total = next(each["whole"] for each in found if each["package"] == "wsgi")
    slowest = sorted(found, key=lambda each: -each["whole"])[:14]
    lines = [[e["package"], f"{e['whole'] * 1000:.0f}", f"{e['own'] * 1000:.0f}"] for e in slowest]
    columns = ["package", "with first imports, ms", "alone, ms"]
    yield from (f"`import wsgi` takes {total * 1000:.0f} ms.", "", *table_of(columns, lines))

"""The servers that the measurements share."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from app.products.schemas import ProductQuery
from bench.inprocess import Local
from bench.rows import World
from bench.scale.database import provide
from bench.systems import SETTINGS, SYSTEMS, System, servers

Figures = Iterator[dict[str, Any]]

Lines = Iterator[str]


@dataclass
class Place:
    """The servers that the measurements share."""

    server: str  # the URL of PostgreSQL
    redis: str
    folder: Path
    urls: dict[int, str] = field(default_factory=dict)

    def url(self, size: int) -> str:
        """The database with `size` products."""
        if size not in self.urls:
            say(f"A table of {size:,} products")
            self.urls[size] = provide(self.server, size)
        return self.urls[size]

    def local(self, size: int) -> tuple[Local, World]:
        """The service on that database in this process, and a login."""
        os.environ |= SETTINGS | servers(self.url(size), self.redis)
        sys.modules.pop("bench.ours", None)  # a new application for each database
        local, world = Local("full"), World(self.url(size))
        world.load(local, size)  # type: ignore[arg-type]
        return local, world


say = partial(print, file=sys.stderr, flush=True)

SORTS: list[str] = ProductQuery().fields["sort"].validators[1].choices  # type: ignore[attr-defined]


def memory_of(pid: int) -> dict[str, int]:
    """KiB of memory of a process, and of those that it does not share."""
    kib: Counter[str] = Counter()
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        kib[line.partition(":")[0]] += int(line.split()[1])
    return {"rss": kib["Rss"], "uss": kib["Private_Clean"] + kib["Private_Dirty"]}


def with_workers(count: int) -> System:
    """The service as shipped, with `count` processes."""
    full = SYSTEMS["full"]
    return replace(full, command=[*full.command[:-1], "--workers", str(count), full.command[-1]])

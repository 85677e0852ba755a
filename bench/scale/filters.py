"""Filters and counts, by size of the table."""

import json
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.inprocess import environ_of
from bench.rows import API
from bench.scale.database import SIZES
from bench.scale.place import Figures, Lines, Place
from bench.scale.tables import table_of

FILTERS = {
    "none": "",
    "a word of one in five": "q=blue",
    "a word of one": "q={last}",
    "a word of none": "q=quokka",
    "a category of one in four": "category=garden",
    "a category of none": "category=quokka",
    "a price of none": "price_min=500",
    "a second of its time": "created_from={moment}Z&created_to={moment}.5Z",
}

COUNTS = {
    "none": "limit=1",
    "estimated": "limit=1&count=estimated",
    "estimated, of a category": "limit=1&count=estimated&category=garden",
    "exact": "limit=1&count=exact",
}

TIME_LIMIT = 2  # seconds for each of them; a longer one is requested once


def filters(place: Place) -> Figures:
    """A page of 20 by the default sort, for each kind of filter."""
    return times(place, FILTERS)


def counts(place: Place) -> Figures:
    """A page of one item, with each kind of count."""
    return times(place, COUNTS)


def times(place: Place, queries: dict[str, str]) -> Figures:
    """The minimum time of some requests, for each query and size."""
    for size in SIZES:
        local, world = place.local(size)
        moment = (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=size // 2)).isoformat()[:19]
        for kind, query in queries.items():
            query = query.format(last=size - 1, moment=moment)
            request = world.request("GET", f"{API}/products?{query}")
            took: list[float] = []
            while len(took) < 200 and sum(took) < TIME_LIMIT:
                environ, began = environ_of(request), time.perf_counter()
                status, _, body = local.run(environ)
                took.append(time.perf_counter() - began)
            result = json.loads(body).get("count") if status == "200 OK" else status
            yield {"size": size, "kind": kind, "wall": min(took), "result": result}


def show_times(found: list[dict[str, Any]]) -> Lines:
    cells: dict[str, list[str]] = defaultdict(list)
    for each in found:
        result = f"{each['result']:,}" if isinstance(each["result"], int) else each["result"]
        note = f" ({result})" if result else ""
        cells[each["kind"]].append(f"{each['wall'] * 1000:.2f}{note}")
    lines = [[kind, *times] for kind, times in cells.items()]
    return table_of(["", *(f"{size:,} products, ms" for size in SIZES)], lines)

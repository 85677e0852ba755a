"""The memory of a worker, by number of requests."""

from typing import Any

from bench import database
from bench.measure import process_tree
from bench.rows import API, FILTERED, ROWS, Row, World, change
from bench.run import load
from bench.scale.place import Figures, Lines, Place, memory_of, say, with_workers
from bench.scale.tables import table_of
from bench.systems import Running, serve

SOME = 20_000  # products of a table that may grow and bloat

MARKS = (2_000, 20_000, 50_000, 100_000, 150_000, 200_000)


def memory(place: Place) -> Figures:
    """The memory of one worker after numbers of mixed requests."""
    url = place.url(SOME)
    with serve(with_workers(1), url, place.redis, place.folder / "memory.log") as running:
        world = World(url)
        world.load(running, SOME)
        [worker] = process_tree(running.pid)[1:]
        sent = 0
        for mark in MARKS:
            while sent < mark:
                sent += load(MIXED, world, running, place.folder, 5)["requests"]
            yield {"requests": sent, **memory_of(worker)}
            say(f"{sent:,} requests")
    database.clean_up(url)


def _mixed(world: World, running: Running) -> list[str]:
    """Reads by id and of lists, and a create and an update in each dozen; some are unique."""
    made = []
    for n in range(200):
        by_id = (f"/products/{id_}" for id_ in world.ids[n * 4 : n * 4 + 4])
        lists = ("/products", "/products?limit=100", FILTERED[n % len(FILTERED)], "/tasks")
        some = (*by_id, *lists, "/products?q={{n}}", "/products/summary")
        made += [world.request("GET", API + path) for path in some]
        made += ROWS["create"].make(world, running) + ROWS["unchanged"].make(world, running)
        made.append(change(world, world.ids[-n - 1], "*", 100 + n).replace('"*"', "*"))
    return made


MIXED = Row("mixed", "all kinds", _mixed)


def show_memory(found: list[dict[str, Any]]) -> Lines:
    lines = [
        [f"{e['requests']:,}", f"{e['rss'] / 1024:.1f}", f"{e['uss'] / 1024:.1f}"] for e in found
    ]
    return table_of(["requests", "resident, MiB", "unshared, MiB"], lines)

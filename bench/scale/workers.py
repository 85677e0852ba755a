"""Requests per second, by number of workers."""

from collections import defaultdict
from statistics import median
from typing import Any

import psycopg

from bench import database
from bench.measure import cpu_seconds, process_tree
from bench.rows import ROWS, World
from bench.run import load
from bench.scale.database import SIZES
from bench.scale.place import Figures, Lines, Place, memory_of, with_workers
from bench.scale.tables import table_of
from bench.systems import serve

WORKERS = (1, 2, 4)


def workers(place: Place) -> Figures:
    """Requests per second and their cost, with one, two and four workers."""
    url = place.url(SIZES[1])
    postmaster = database.postmaster()
    for count in WORKERS:
        others = connections_of(url)
        with serve(with_workers(count), url, place.redis, place.folder / "workers.log") as running:
            world = World(url)
            world.load(running, SIZES[1])
            for row in map(ROWS.get, ("by-id", "page-20", "create", "change")):
                assert row
                load(row, world, running, place.folder, 1)
                for _ in range(3):
                    before = cpu_seconds(running.pid), cpu_seconds(postmaster)
                    found = load(row, world, running, place.folder, 3)
                    after = cpu_seconds(running.pid), cpu_seconds(postmaster)
                    spent = [
                        (b - a) / found["requests"] for a, b in zip(before, after, strict=True)
                    ]
                    found |= {"cpu": spent[0], "sql_cpu": spent[1]}
                    yield {"workers": count, "row": row.title, **found}
            sizes = [memory_of(pid)["rss"] for pid in process_tree(running.pid)[1:]]
            held = connections_of(url) - others
            yield {"workers": count, "rss": sizes, "connections": held}
        database.clean_up(url)


def connections_of(url: str) -> int:
    """The number of connections that services have to PostgreSQL."""
    with psycopg.connect(url) as connection:
        [(count,)] = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web'"
        ).fetchall()
    return int(count)


def show_workers(found: list[dict[str, Any]]) -> Lines:
    seen: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for each in found:
        if "row" in each:
            seen[each["workers"], each["row"]].append(each)
    lines = [
        [
            row,
            str(count),
            f"{median(e['rate'] for e in all_):,.0f}",
            f"{median(e['p50'] for e in all_):.1f}",
            f"{median(e['p99'] for e in all_):.1f}",
            f"{min(e['cpu'] for e in all_) * 1000:.2f}",
            f"{min(e['sql_cpu'] for e in all_) * 1000:.2f}",
        ]
        for (count, row), all_ in sorted(seen.items(), key=lambda each: each[0][::-1])
    ]
    names = ["requests/s", "p50 ms", "p99 ms", "Python's CPU, ms", "PostgreSQL's CPU, ms"]
    yield from (*table_of(["row", "workers", *names], lines), "")
    for each in found:
        if "rss" in each:
            memory = " + ".join(f"{kib / 1024:.0f}" for kib in each["rss"])
            yield f"* {each['workers']} workers: {memory} MiB, {each['connections']} connections"

"""Pages of lists, by depth and by size of the table."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import psycopg

from app.core.database.listeners import on_statement
from app.core.resources.cursor import PageCursor
from bench.inprocess import Local, environ_of
from bench.rows import API
from bench.scale.database import SIZES
from bench.scale.place import SORTS, Figures, Lines, Place
from bench.scale.tables import table_of

DEPTHS = {"first": 0.0, "middle": 0.5, "at 90 %": 0.9}

ROUNDS, REPEATS = 10, 30


@dataclass
class PageAt:
    """A page of one table, by one sort, at one depth."""

    size: int
    sort: str
    depth: str
    local: Local
    request: str
    explained: tuple[str, Any]
    python: float = 1.0  # seconds of CPU, the minimum
    wall: float = 1.0  # seconds, the minimum
    sql: float = 1.0  # seconds of planning and execution in PostgreSQL, the minimum
    blocks: int = 0  # of 8 KiB that the statement read

    def measure(self, connection: psycopg.Connection[Any]) -> None:
        """Request the page repeatedly."""
        for _ in range(REPEATS):
            environ = environ_of(self.request)
            cpu, wall = time.process_time(), time.perf_counter()
            status, _, _ = self.local.run(environ)
            self.python = min(self.python, time.process_time() - cpu)
            self.wall = min(self.wall, time.perf_counter() - wall)
            assert status == "200 OK", status
            [(explained,)] = connection.execute(*self.explained).fetchall()
            plan = explained[0]["Plan"]
            took = (explained[0]["Planning Time"] + explained[0]["Execution Time"]) / 1000
            self.sql = min(self.sql, took)
            self.blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def pages(place: Place) -> Figures:
    """A page of 20 by each sort, at the start, in the middle and after 90 % of the rows."""
    all_: list[PageAt] = []
    connections = {}
    for size in SIZES:
        local, world = place.local(size)
        connections[size] = psycopg.connect(
            world.database, autocommit=True, prepare_threshold=None, options="-c timezone=UTC"
        )
        yield {"size": size, **sizes(connections[size])}
        for sort, depth in product(SORTS, DEPTHS):
            path = f"{API}/products?sort={sort}"
            if DEPTHS[depth]:
                path += f"&cursor={cursor_at(local, connections[size], sort, DEPTHS[depth] * size)}"
            request = world.request("GET", path)
            explained = statement_of(local, request)
            all_.append(PageAt(size, sort, depth, local, request, explained))
    for _ in range(ROUNDS):
        for page in all_:  # in turn, so that other load affects all alike
            page.measure(connections[page.size])
    for page in all_:
        names = ("size", "sort", "depth", "python", "wall", "sql", "blocks")
        yield {name: getattr(page, name) for name in names}


def sizes(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Bytes of the table and of its indexes."""
    [found] = connection.execute(
        "SELECT pg_table_size('products'), pg_indexes_size('products')"
    ).fetchall()
    return dict(zip(("table_bytes", "index_bytes"), found, strict=True))


def cursor_at(local: Local, connection: psycopg.Connection[Any], sort: str, row: float) -> str:
    """The cursor that the service returns with the page that ends at this row."""
    key, way = sort.removeprefix("-"), "DESC" if sort.startswith("-") else "ASC"
    [(value, id_)] = connection.execute(
        f"SELECT {key}, id FROM products ORDER BY {key} {way}, id {way} LIMIT 1 OFFSET {row:.0f}"
    ).fetchall()
    app: Any = local.app
    with app.test_request_context(f"{API}/products"):
        return PageCursor(sort, {}, False, value, id_).dumps()


def statement_of(local: Local, request: str) -> tuple[str, Any]:
    """The statement of a request with EXPLAIN, and its values."""
    seen = []

    def look(_engine: Any, statement: str, values: Any) -> None:
        seen.append((f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS, FORMAT JSON) {statement}", values))

    remove = on_statement(look)
    local.run(environ_of(request))
    remove()
    [found] = seen
    return found


def show_pages(found: list[dict[str, Any]]) -> Lines:
    for each in found:
        if "table_bytes" in each:
            table, indexes = each["table_bytes"] / 2**20, each["index_bytes"] / 2**20
            yield f"* {each['size']:,} products: {table:,.0f} MiB, and {indexes:,.0f} of indexes"
    cells = {(e["sort"], e["size"], e["depth"]): e for e in found if "sort" in e}
    kinds: dict[str, Callable[[dict[str, Any]], float]] = {
        "Python's CPU and PostgreSQL's planning and execution, µs": lambda e: (
            (e["python"] + e["sql"]) * 1e6
        ),
        "PostgreSQL's part of that, µs": lambda e: e["sql"] * 1e6,
        "8 KiB blocks that it reads": lambda e: e["blocks"],
    }
    for title, cost in kinds.items():
        lines = []
        for sort in SORTS:
            of = {key[1:]: cost(e) for key, e in cells.items() if key[0] == sort}
            worst = max(of.values()) / of[SIZES[0], "first"]
            by_size = (" / ".join(f"{of[size, d]:.0f}" for d in DEPTHS) for size in SIZES)
            lines.append([sort, *by_size, f"{worst:.2f}"])
        columns = ["sort", *(f"{size:,}: {' / '.join(DEPTHS)}" for size in SIZES), "worst"]
        yield from ("", title, "", *table_of(columns, lines))

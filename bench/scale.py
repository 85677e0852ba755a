"""The cost of the service by size of the database and number of workers: `make bench-scale`.

    python -m bench.scale [pages] [filters] [counts] [memory] [workers] [start] [imports]

Pages and counts are measured on tables of 10,000, a million and ten million products, each in a
database of its own. PostgreSQL generates them once, in some minutes and about 5 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from app.core.database.listeners import on_statement
from app.core.resources.cursor import PageCursor
from app.products.schemas import ProductQuery
from bench import database
from bench.inprocess import Local, environ_of
from bench.measure import cpu_seconds, process_tree
from bench.rows import API, FILTERED, ROWS, Row, World, change
from bench.run import RESULTS, describe, load
from bench.systems import SETTINGS, SYSTEMS, Running, System, serve, servers
from tests import services
from tests.services import free_port

SIZES = (10_000, 1_000_000, 10_000_000)
# At this level TRUNCATE, INSERT and CREATE INDEX in one transaction are not logged: lost data of a
# benchmark is generated again.
UNLOGGED = {"wal_level": "minimal", "max_wal_senders": "0"}

# As `flask seed` creates them, with ids in the order of time, and updated some time later.
_PRODUCTS = """
INSERT INTO products (id, sku, name, description, category, price, currency, stock, is_active,
                      version, created_at, updated_at)
SELECT (lpad(to_hex((extract(epoch FROM made) * 1000)::bigint), 12, '0')
           || '7' || substr(digits, 1, 3) || '8' || substr(digits, 4, 15))::uuid,
       'SEED-' || lpad(n::text, 7, '0'),
       initcap(colour) || ' ' || thing || ' ' || n,
       'A ' || colour || ' ' || thing || ' for the ' || category || '.',
       category, (100 + floor(random() * 19900)) / 100, (ARRAY['EUR', 'USD'])[1 + n %% 2],
       floor(random() * 100), true, 1, made, made + random() * interval '30 days'
FROM (SELECT n, md5(n::text) AS digits, timestamptz '2025-01-01' + n * interval '1 second' AS made,
             (ARRAY['mug', 'kettle', 'spade', 'lamp'])[1 + kind] AS thing,
             (ARRAY['kitchen', 'kitchen', 'garden', 'office'])[1 + kind] AS category,
             (ARRAY['blue', 'green', 'red', 'white', 'yellow'])[1 + shade] AS colour
      FROM (SELECT n, floor(random() * 4)::int AS kind, floor(random() * 5)::int AS shade
            FROM generate_series(0, %s - 1) n) AS dice) AS products
"""


def provide(server: str, size: int) -> str:
    """The URL of the database with `size` products; it is created if it is missing."""
    name = f"scale_{size}"
    url = f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchall():
            connection.execute(f"CREATE DATABASE {name}")
    database.fill(url, 50)
    with psycopg.connect(url, autocommit=True) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM products").fetchall()
        if count != size:
            make(connection, size)
    return url


def make(connection: psycopg.Connection, size: int) -> None:
    """Fill the table, then create its indexes, which is faster."""
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE tablename = 'products' AND indexname NOT LIKE 'pk%'"
    ).fetchall()
    with connection.transaction():
        connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
        connection.execute("TRUNCATE products")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_PRODUCTS, [size])
        for _, definition in indexes:
            connection.execute(definition)
    connection.execute("VACUUM (ANALYZE, FREEZE) products")
    connection.execute("CHECKPOINT")


# --- servers and databases ---------------------------------------------------------------------

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
        sys.modules.pop("wsgi", None)  # a new application for each database
        local, world = Local("full"), World(self.url(size))
        world.load(local, size)  # type: ignore[arg-type]
        return local, world


say = partial(print, file=sys.stderr, flush=True)

# --- pages -------------------------------------------------------------------------------------

SORTS: list[str] = ProductQuery().fields["sort"].validators[1].choices  # type: ignore[attr-defined]
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


# --- filters and counts ------------------------------------------------------------------------

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


# --- memory ------------------------------------------------------------------------------------

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


def memory_of(pid: int) -> dict[str, int]:
    """KiB of memory of a process, and of those that it does not share."""
    kib: Counter[str] = Counter()
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        kib[line.partition(":")[0]] += int(line.split()[1])
    return {"rss": kib["Rss"], "uss": kib["Private_Clean"] + kib["Private_Dirty"]}


def show_memory(found: list[dict[str, Any]]) -> Lines:
    lines = [
        [f"{e['requests']:,}", f"{e['rss'] / 1024:.1f}", f"{e['uss'] / 1024:.1f}"] for e in found
    ]
    return table_of(["requests", "resident, MiB", "unshared, MiB"], lines)


# --- workers -----------------------------------------------------------------------------------

WORKERS = (1, 2, 4)


def with_workers(count: int) -> System:
    """The service as shipped, with `count` processes."""
    full = SYSTEMS["full"]
    return replace(full, command=[*full.command[:-1], "--workers", str(count), full.command[-1]])


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


# --- start-up ----------------------------------------------------------------------------------

STARTS = 9


def start(place: Place) -> Figures:
    """Seconds from the start of gunicorn to the first responses, and their CPU."""
    for n in range(STARTS + 1):
        took = start_once(place, place.url(SIZES[0]))
        if n:  # the first start compiles Python's files
            yield took


def start_once(place: Place, url: str) -> dict[str, float]:
    port = free_port()
    environ = os.environ | SETTINGS | servers(url, place.redis) | {"BIND": f"127.0.0.1:{port}"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the image has its files compiled
    with (place.folder / "start.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn"],
            cwd=database.ROOT, env=environ, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            took = {}
            for name, path in (("live", "/health/live"), ("page", f"{API}/products")):
                while not answers(port, path):
                    if process.poll() is not None or time.perf_counter() > began + 30:
                        raise RuntimeError((place.folder / "start.log").read_text()[-2000:])
                    time.sleep(0.005)
                took[name] = time.perf_counter() - began
            every = [cpu_seconds(worker) for worker in process_tree(process.pid)[1:]]
            return took | {"cpu": cpu_seconds(process.pid) - sum(every) + max(every)}
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def show_start(found: list[dict[str, Any]]) -> Lines:
    titles = {
        "live": "first 200 of /health/live",
        "page": "first page of products",
        "cpu": "CPU until then, of the master and a worker",
    }
    lines = [
        [title, f"{min(values):.2f}", f"{median(values):.2f}"]
        for name, title in titles.items()
        for values in [[each[name] for each in found]]
    ]
    return table_of(["from the start of gunicorn", "minimum, s", "median, s"], lines)


# --- imports -----------------------------------------------------------------------------------


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


# --- output and command line -------------------------------------------------------------------


def table_of(columns: list[str], lines: list[list[str]]) -> Lines:
    """A Markdown table."""
    yield f"| {' | '.join(columns)} |"
    yield f"| --- |{' ---: |' * (len(columns) - 1)}"
    for line in lines:
        yield f"| {' | '.join(line)} |"


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

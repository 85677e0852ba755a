"""Compare all systems: `make bench`.

They run at the same time on one database and are measured in turn, A B A B, one row after the
other. Before that, all must give the same responses. Results are written to `bench/results/`.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench import database
from bench.measure import Counter, cpu_seconds, worker_megabytes
from bench.report import table
from bench.rows import ROWS, Row, World, check
from bench.systems import SYSTEMS, Running, System, install, serve, serve_all
from tests import services

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = 16
SAMPLES = 15  # of the round trips of a request

say = partial(print, file=sys.stderr, flush=True)


def main() -> None:
    """Run the systems and rows that the arguments name."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s, not 5 of 2 s")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="by commas: %(default)s")
    parser.add_argument("--rows", default=",".join(ROWS), help="by commas: %(default)s")
    options = parser.parse_args()
    rounds, seconds = (2, 1) if options.quick else (5, 2)
    systems = [SYSTEMS[name] for name in options.systems.split(",")]
    rows = [ROWS[name] for name in options.rows.split(",")]
    require_wrk()
    busy = os.getloadavg()[0]
    for system in systems:
        install(system)
    say("Starting PostgreSQL; a million products are created if they are missing")
    with (
        database.postgres() as url,
        services.redis() as redis,
        tempfile.TemporaryDirectory() as name,
    ):
        world = World(url)
        about = describe(url, rounds, seconds) | {"load": busy}
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"{about['date'][:16].replace(':', '')}-{about['commit']}.jsonl"
        try:
            results = [about, *check_all(systems, rows, world, redis, Path(name))]
            for measured in measure_all(systems, rows, world, redis, Path(name), rounds, seconds):
                results += measured
                file.write_text("".join(json.dumps(each) + "\n" for each in results))
        finally:
            database.clean_up(url)
    print(table(results))
    say(f"Written to {file}")


def require_wrk() -> None:
    """Exit with a message if the load generator is not installed."""
    if not shutil.which("wrk"):
        sys.exit("wrk is needed to generate the load; on Debian or Ubuntu: apt install wrk")


def check_all(
    systems: list[System], rows: list[Row], world: World, redis: str, folder: Path
) -> list[dict[str, Any]]:
    """Compare the responses of each system with ours, and count its round trips.

    Raises:
        Differs: a system gives other responses.
    """
    results = []
    with serve(SYSTEMS["full"], world.database, redis, folder / "ours.log") as ours:
        world.load(ours, database.PRODUCTS)
        for system in systems:
            say(f"Comparing the responses of {system.name}")
            with (
                Counter(*_address(world.database)) as sql,
                Counter(*_address(redis)) as other,
                serve(
                    system,
                    _through(sql, world.database),
                    _through(other, redis),
                    folder / f"{system.name}.log",
                ) as running,
            ):
                check(world, running, ours)
                for row in rows:
                    if row.only in ("", system.name):
                        trips = count_trips(row, world, running, sql, other)
                        results.append({"system": system.name, "row": row.name} | trips)
    return results


def count_trips(
    row: Row, world: World, running: Running, sql: Counter, redis: Counter
) -> dict[str, float]:
    """Round trips of one request to PostgreSQL and to Redis, the medians of some."""
    requests = row.make(world, running)
    seen = []
    for n in range(SAMPLES):
        request = requests[n % len(requests)].replace("{{n}}", f"{n:010}")
        if row.tracks_versions:
            _, version, request = request.split(" ", 2)
            request = request.replace("{{version}}", version)
        before = sql.trips, redis.trips
        status = running.call(request)[0]
        if status not in (row.status, 304):
            raise RuntimeError(f"{running.system.name}, {row.name}: {status}")
        time.sleep(0.01)  # work after the response counts too
        seen.append((sql.trips - before[0], redis.trips - before[1]))
    return {
        "sql_trips": statistics.median(trips for trips, _ in seen),
        "redis_trips": statistics.median(trips for _, trips in seen),
    }


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def _through(counter: Counter, url: str) -> str:
    return url.replace(f":{_address(url)[1]}/", f":{counter.port}/")


def measure_all(
    systems: list[System],
    rows: list[Row],
    world: World,
    redis: str,
    folder: Path,
    rounds: int,
    seconds: int,
) -> Iterator[list[dict[str, Any]]]:
    """For each row, the results by round and system."""
    postmaster = database.postmaster()
    with serve_all(systems, world.database, redis, folder) as running:
        for row in rows:
            results: list[dict[str, Any]] = []
            having = [each for each in running if row.only in ("", each.system.name)]
            for each in having:
                load(row, world, each, folder, row.min_seconds)
            for n in range(rounds):
                for each in having:
                    before = cpu_seconds(each.pid), cpu_seconds(postmaster)
                    found = load(row, world, each, folder, max(seconds, row.min_seconds))
                    after = cpu_seconds(each.pid), cpu_seconds(postmaster)
                    thousands = found["requests"] / 1000
                    found |= {
                        "cpu": (after[0] - before[0]) / thousands,
                        "sql_cpu": (after[1] - before[1]) / thousands,
                        "memory": worker_megabytes(each.pid),
                    }
                    results.append(
                        {"system": each.system.name, "row": row.name, "round": n} | found
                    )
            say(f"Measured: {row.title}")
            database.vacuum(world.database)
            yield results


def load(row: Row, world: World, running: Running, folder: Path, seconds: int) -> dict[str, Any]:
    """Send the requests of the row for `seconds` over all connections; the results of wrk.

    Raises:
        RuntimeError: a response was an error.
    """
    file = folder / "requests"
    file.write_text("\x1e".join(row.make(world, running)))
    script = Path(__file__).with_name("load.lua")
    mode = "versions" if row.tracks_versions else "plain"
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script]
    command += [f"http://127.0.0.1:{running.port}/", "--", file, mode]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"errors": 1}
    if found["errors"] or not found["requests"]:
        raise RuntimeError(f"{running.system.name}, {row.name}: {done.stdout}{done.stderr}")
    return {
        "requests": found["requests"],
        "rate": found["requests"] / found["seconds"],
        "p50": found["p50"],
        "p99": found["p99"],
    }


def describe(url: str, rounds: int, seconds: int) -> dict[str, Any]:
    """The machine, time and versions of the results."""
    with psycopg.connect(url) as connection:
        server = connection.info.server_version // 10_000
    git = ["git", "-C", str(database.ROOT)]
    commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
    changed = subprocess.check_output([*git, "status", "--porcelain", "app"], text=True)
    names = ("flask", "werkzeug", "sqlalchemy", "psycopg", "gunicorn", "orjson", "pyjwt")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit + ("-changed" if changed else ""),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "postgresql": server,
        "versions": {name: metadata.version(name) for name in names},
        "rounds": rounds,
        "seconds": seconds,
        "connections": CONNECTIONS,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


if __name__ == "__main__":
    main()

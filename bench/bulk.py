"""Imports and exports of a million products: time against a bare COPY, and memory.

    python -m bench.bulk [ROWS]

Starts gunicorn with one worker, Celery with one thread, PostgreSQL and Redis. For comparison, COPY
loads the same rows into the same table with the same indexes, and Python's csv module parses the
file. Then the file is imported and exported, and the export is imported.
"""

import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg

from app.core.database.ids import uuid7
from app.products.seed import sample_product, sample_sku
from tests import services
from tests.live import Live, serve, work

COLUMNS = ("sku", "name", "description", "category", "price", "currency", "stock")
MIB = 2**20


def write_file(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(rows):
            product = {"sku": sample_sku(number), **sample_product(number)}
            writer.writerow([str(product[name]) for name in COLUMNS])


def parse(path: Path) -> float:
    began = time.perf_counter()
    with path.open(newline="") as file:
        for _ in csv.reader(file):
            pass
    return time.perf_counter() - began


def copy(database: str, path: Path) -> float:
    """Seconds that COPY takes for the rows, which are converted to its format before."""
    rest = "t\t1\t2026-01-01 00:00:00+00\t2026-01-01 00:00:00+00\n"
    with path.open(newline="") as file, tempfile.TemporaryFile("w+") as ready:
        for cells in list_without_header(file):
            ready.write("\t".join([str(uuid7()), *cells, rest]))
        ready.seek(0)
        names = ("id", *COLUMNS, "is_active", "version", "created_at", "updated_at")
        with psycopg.connect(database) as connection:
            began = time.perf_counter()
            with connection.cursor().copy(f"COPY products ({', '.join(names)}) FROM STDIN") as into:
                while part := ready.read(MIB):
                    into.write(part)
            connection.commit()
            took = time.perf_counter() - began
    return took


def list_without_header(file: Any) -> Iterator[list[str]]:
    rows = csv.reader(file)
    next(rows)
    return rows


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextmanager
def peak_memory(*pids: int) -> Iterator[dict[int, int]]:
    """Yield the peak resident memory of each process during the block, minus that at its start."""
    idle = {pid: resident(pid) for pid in pids}
    peak, ended = dict.fromkeys(pids, 0), Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for pid in pids:
                peak[pid] = max(peak[pid], resident(pid) - idle[pid])

    thread = Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


@contextmanager
def calling(
    live: Live, method: str, path: str, body: Any, **headers: str
) -> Iterator[HTTPResponse]:
    connection = HTTPConnection(live.url.removeprefix("http://"), timeout=300)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, f"/api/v1/{path}", body, {**live.log_in(), **sent})
        yield connection.getresponse()
    finally:
        connection.close()


def import_file(live: Live, path: Path) -> tuple[float, float, dict[str, Any]]:
    """Seconds for the upload, seconds from its end to the end of the job, and the job."""
    began = time.perf_counter()
    headers = {"Content_Type": "text/csv", "Content_Length": str(path.stat().st_size)}
    with path.open("rb") as file, calling(live, "POST", "products/imports", file, **headers) as got:
        job = json.loads(got.read())
        assert got.status == 202, job
    uploaded = time.perf_counter()
    headers = live.log_in()
    while not job["finished_at"]:
        time.sleep(0.2)
        job = live.call("GET", f"jobs/{job['id']}", headers=headers).json
    assert job["state"] == "succeeded", job
    return uploaded - began, time.perf_counter() - uploaded, job


def export_file(live: Live, path: Path) -> float:
    began = time.perf_counter()
    with (
        calling(live, "GET", "products/export", None, Accept="text/csv") as got,
        path.open("wb") as file,
    ):
        while part := got.read(MIB):
            file.write(part)
    return time.perf_counter() - began


def mebibytes(**memory: int) -> str:
    return ", ".join(f"{name} +{amount / MIB:.1f} MiB" for name, amount in memory.items())


def main(rows: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(services.postgres())
        broker = stack.enter_context(services.redis())
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bulk")
        database = f"{server.rpartition('/')[0]}/bulk"
        file, back = folder / "products.csv", folder / "back.csv"
        write_file(file, rows)
        settings = {"BROKER_URL": broker, "WEB_CONCURRENCY": "1", "RATE_LIMIT": "100000 per minute"}
        live = stack.enter_context(serve(database, **settings))
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("TRUNCATE products")  # the demo data
            copied, parsed = copy(database, file), parse(file)
            connection.execute("TRUNCATE products")
            worker = stack.enter_context(work(database, broker)).pid
            (web,) = live.workers()
            time.sleep(5)  # until the worker is idle
            with peak_memory(web, worker) as memory:
                sent, took, job = import_file(live, file)
            assert job["result"]["created"] == rows, job
            bound = 3 * copied + parsed
            print(f"{rows:,} rows, {file.stat().st_size / MIB:.0f} MiB of CSV")
            print(f"COPY      {copied:.1f} s, csv {parsed:.1f} s: 3 COPY + csv = {bound:.1f} s")
            print(f"import    {took:.1f} s, {took / bound:.2f} of that; upload {sent:.1f} s")
            print(f"memory    {mebibytes(web=memory[web], worker=memory[worker])}")
            with peak_memory(web) as memory:
                took = export_file(live, back)
            print(f"export    {took:.1f} s; {mebibytes(web=memory[web])}")
            with peak_memory(web, worker) as memory:
                _, took, job = import_file(live, back)
            assert job["result"]["unchanged"] == rows, job
            print(f"again     {took:.1f} s, unchanged; {mebibytes(worker=memory[worker])}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)

"""The processes of gunicorn: concurrent requests, signals, reloads."""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import services
from tests.live import Live, copy_release, serve, wait_until
from tests.server.connections import (
    HIGH_LIMITS,
    _numbers,
    answer,
    ask,
    check_problem,
    connect,
    head,
    mug,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def stoppable(tmp_path: Path) -> Iterator[Live]:
    """The service, for a test that stops it."""
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path), **HIGH_LIMITS) as service:
        yield service


def test_one_of_fifty_concurrent_updates_of_a_version_succeeds(
    live: Live, editor: dict[str, str]
) -> None:
    created = live.call("POST", "articles", mug(), editor)
    path, headers = f"articles/{created.json['id']}", editor | {"If-Match": created.headers["ETag"]}
    start = threading.Barrier(50)

    def change(number: int) -> int:
        start.wait()
        return live.call("PATCH", path, {"stock": number}, headers).status

    with ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(change, range(50)))
    after = live.call("GET", path, headers=editor).json
    assert sorted(statuses) == [200] + [412] * 49
    assert (after["version"], after["stock"]) == (2, statuses.index(200))


def test_one_of_twenty_concurrent_creates_with_a_sku_succeeds(
    live: Live, editor: dict[str, str]
) -> None:
    same, start = mug(), threading.Barrier(20)

    def create(_: int) -> int:
        start.wait()
        return live.call("POST", "articles", same, editor).status

    with ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(create, range(20))) == [201] + [409] * 19


@contextmanager
def request_in_flight(live: Live) -> Iterator[None]:
    """Send a request before the block and its body after the block; check that it succeeds."""
    body = json.dumps(mug()).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {**live.log_in(), "Expect": "100-continue"}
    with connect(live) as wire:
        wire.sendall(head("POST", "/api/v1/articles", fields))
        assert wire.recv(100).startswith(b"HTTP/1.1 100")  # a thread is processing it
        yield
        wire.sendall(body)
        assert answer(wire)[0].status == 201


def test_request_in_flight_is_finished_after_sigterm(stoppable: Live) -> None:
    with request_in_flight(stoppable):
        stoppable.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in stoppable.log.read_text())
    assert stoppable.process.wait(services.SECONDS) == 0


def test_stopping_service_refuses_connections_while_it_finishes_requests(stoppable: Live) -> None:
    """A proxy then tries another instance; an accepted connection would never be answered."""
    with request_in_flight(stoppable):
        stoppable.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses_connections(stoppable))


def refuses_connections(live: Live) -> bool:
    try:
        with connect(live):
            return False
    except ConnectionRefusedError:
        return True


@pytest.mark.slow
def test_draining_service_is_not_ready_and_serves_requests(tmp_path: Path) -> None:
    hours = str(24 * 60 * 60)
    with serve(f"sqlite:///{tmp_path}/live.db", CACHE_DIR=str(tmp_path), DRAIN_SECONDS=hours) as it:
        ready = head("GET", "/health/ready", {})
        assert ask(it, ready)[0].status == 200
        it.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(it, ready)[0].status == 503)
        for _ in range(10):  # answered by both workers
            response, body = ask(it, ready)
            check_problem(response, body, 503)
            assert int(response.headers["Retry-After"]) > 0
            assert ask(it, head("GET", "/health/live", {}))[0].status == 200
            assert it.call("GET", "articles").status == 200
        it.process.send_signal(signal.SIGTERM)  # a second one does not wait
        assert it.process.wait(services.SECONDS) == 0


@pytest.mark.slow
def test_reload_under_load_loses_no_request(live: Live, editor: dict[str, str]) -> None:
    category, finished = f"load-{next(_numbers)}", threading.Event()

    def load(number: int) -> list[int]:
        statuses = []
        while not finished.is_set():
            if number % 2:
                article = mug(category=category)
                statuses.append(live.call("POST", "articles", article, editor).status)
            else:
                statuses.append(live.call("GET", "articles?limit=5").status)
        return statuses

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, number) for number in range(4)]
        try:
            old = set(live.workers())
            live.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(live.workers()) == 2 and not old & set(live.workers()))
        finally:
            finished.set()
    statuses = [status for each in loads for status in each.result()]
    assert set(statuses) == {200, 201}
    assert count(live, category) == statuses.count(201)


@pytest.fixture
def released(tmp_path: Path) -> Iterator[tuple[Live, Path]]:
    """The service and a copy of its code that a test may change."""
    root = copy_release(tmp_path / "release")
    url = f"sqlite:///{tmp_path}/live.db"
    with serve(url, root=root, CACHE_DIR=str(tmp_path / "cache"), **HIGH_LIMITS) as service:
        yield service, root


@pytest.mark.slow
@pytest.mark.parametrize("file", ["tests/wsgi.py", "app/server/worker.py", "gunicorn.conf.py"])
def test_reload_of_code_that_does_not_load_keeps_the_old_workers(
    released: tuple[Live, Path], file: str
) -> None:
    live, root = released
    assert live.call("GET", "articles").status == 200  # the service has booted
    good, old = (root / file).read_text(), live.workers()
    (root / file).write_text("import missing_module\n")
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "No module named 'missing_module'" in live.log.read_text())
    assert live.call("GET", "articles").status == 200
    assert live.workers() == old
    (root / file).write_text(good)
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(live.workers()) == 2 and not set(old) & set(live.workers()))
    assert live.call("GET", "articles").status == 200


@pytest.mark.slow
def test_reload_loads_new_code_of_the_application_and_the_worker_class(
    released: tuple[Live, Path],
) -> None:
    live, root = released
    assert live.call("GET", "articles").status == 200
    files = ("app/__init__.py", "app/server/worker.py")
    for file in files:
        line = f"import logging; logging.getLogger('gunicorn.error').warning('new {file}')\n"
        with (root / file).open("a") as code:
            code.write(line)
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: all(f"new {file}" in live.log.read_text() for file in files))


def delay_boot_until(go: Path, code: Path) -> None:
    """Make workers that load the file `code` wait until the file `go` exists."""
    wait = "import os, pathlib, time\nwhile 'METRICS_SLOT' in os.environ"  # workers only
    code.write_text(
        f"{wait} and not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n{code.read_text()}"
    )


@pytest.mark.slow
def test_old_workers_serve_until_the_new_workers_have_booted(released: tuple[Live, Path]) -> None:
    live, root = released
    assert live.call("GET", "articles").status == 200
    old, go = set(live.workers()), root / "go"
    delay_boot_until(go, root / "tests" / "wsgi.py")
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(live.workers()) == 4)
    for _ in range(20):
        assert live.call("GET", "articles").status == 200
    assert old < set(live.workers())
    go.touch()
    wait_until(lambda: len(live.workers()) == 2 and not old & set(live.workers()))
    assert live.call("GET", "articles").status == 200


@pytest.mark.slow
def test_old_workers_end_on_sigterm_while_new_workers_boot(released: tuple[Live, Path]) -> None:
    live, root = released
    assert live.call("GET", "articles").status == 200
    old, go = set(live.workers()), root / "go"
    delay_boot_until(go, root / "tests" / "wsgi.py")
    live.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(live.workers()) == 4)
    live.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not old & set(live.workers()))
    go.touch()
    assert live.process.wait(services.SECONDS) == 0
    # The reload ends when the old workers have; only then does gunicorn handle the next signal.
    before, _, _ = live.log.read_text().partition("Handling signal: term")
    assert all(f"Worker exiting (pid: {pid})" in before for pid in old)


def count(live: Live, category: str) -> int:
    """The number of articles of the category, counted page by page."""
    found, more = 0, ""
    while more is not None:
        query = f"category={category}&limit=100" + (f"&cursor={more}" if more else "")
        page = live.call("GET", f"articles?{query}").json
        found, more = found + len(page["items"]), page["next_cursor"]
    return found

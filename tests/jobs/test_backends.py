"""Workers in their real processes: killed with SIGKILL, or cut off from Redis; nothing is lost."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import redis
from flask import Flask

from app.core.database.types import now
from app.jobs.models import Job
from app.products.models import Product
from tests import live as processes
from tests import rows
from tests.conftest import MakeApp, on_postgresql, on_sqlite, own_server
from tests.live import Live, work

LINES = 50_000


@pytest.fixture
def empty(another_database_url: str, make_app: MakeApp) -> Flask:
    """An application on the database that the processes work on, to look behind their backs."""
    return make_app(database_url=another_database_url)


@pytest.fixture
def broker() -> Iterator[str]:
    """A Redis of the test's own."""
    with own_server("redis") as url:
        yield url


plenty = "100000 per minute"
serve = partial(
    processes.serve, RATE_LIMIT=plenty, BULK_RATE_LIMIT=plenty
)  # progress is asked for often


def start(live: Live, lines: int = LINES) -> str:
    """The path, below /api/v1, of a job that imports so many products."""
    members = {"name": "Mug", "category": "kitchen", "price": "1.50", "currency": "EUR"}
    file = "".join(json.dumps({"sku": f"A{n}", **members}) + "\n" for n in range(lines))
    headers = {**live.log_in(), "Content-Type": "application/x-ndjson"}
    started = live.send("POST", "products/imports", file.encode(), headers)
    assert started.status == 202, started.body
    return started.headers["Location"].removeprefix("/api/v1/")


def wait(live: Live, path: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job, as soon as it is so far."""
    headers = live.log_in()
    while True:
        answer = live.call("GET", path, headers=headers)
        assert answer.status == 200, answer.body
        job: dict[str, Any] = answer.json
        if until(job):
            return job
        assert not is_over(job), job
        time.sleep(0.02)


def is_over(job: dict[str, Any]) -> bool:
    return job["finished_at"] is not None


def is_half_done(job: dict[str, Any]) -> bool:
    return 0 < job["processed_count"] <= LINES / 2


def forget_the_lease(app: Flask, path: str) -> None:
    """What a minute does: the worker that has the job counts as dead."""
    rows.change(app, Job, UUID(path.rpartition("/")[2]), retry_at=now())


def check_everything_is_there_once(app: Flask, job: dict[str, Any], lines: int = LINES) -> None:
    assert (job["state"], job["processed_count"], job["failed_count"]) == ("succeeded", lines, 0)
    assert job["result"] == {"created": lines, "updated": 0, "unchanged": 0}
    assert rows.count(app, Product, category="kitchen", price=1.5) == lines


@on_postgresql
def test_celery_worker_runs_job_of_a_web_process(
    empty: Flask, another_database_url: str, broker: str
) -> None:
    with (
        serve(another_database_url, BROKER_URL=broker) as live,
        work(another_database_url, broker),
    ):
        job = wait(live, start(live, 100), is_over)
    check_everything_is_there_once(empty, job, 100)


@on_postgresql
def test_celery_worker_resumes_job_after_being_killed(
    empty: Flask, another_database_url: str, broker: str
) -> None:
    with serve(another_database_url, BROKER_URL=broker) as live:
        with work(another_database_url, broker) as worker:
            path = start(live)
            wait(live, path, is_half_done)
            worker.kill()
        assert is_half_done(live.call("GET", path, headers=live.log_in()).json)
        forget_the_lease(empty, path)
        with work(another_database_url, broker):
            job = wait(live, path, is_over)
    check_everything_is_there_once(empty, job)


@on_postgresql
def test_stopping_celery_worker_requeues_its_job(
    empty: Flask, another_database_url: str, broker: str
) -> None:
    with serve(another_database_url, BROKER_URL=broker) as live:
        with work(another_database_url, broker) as worker:
            path = start(live)
            wait(live, path, is_half_done)
            worker.terminate()
            assert worker.wait(60) == 0
        assert rows.read(empty, Job.state) == ["queued"]
        with work(another_database_url, broker):
            job = wait(live, path, is_over)
    check_everything_is_there_once(empty, job)


@on_postgresql
def test_celery_worker_finds_jobs_whose_messages_were_flushed(
    empty: Flask, another_database_url: str, broker: str
) -> None:
    with serve(another_database_url, BROKER_URL=broker) as live:
        path = start(live, 100)
        redis.from_url(broker).flushall()
        forget_the_lease(empty, path)
        with work(another_database_url, broker):
            job = wait(live, path, is_over)
    check_everything_is_there_once(empty, job, 100)


@on_postgresql
def test_job_created_without_broker_runs_once_the_broker_is_back(
    empty: Flask, another_database_url: str
) -> None:
    with own_server("redis") as broker:
        port = urlsplit(broker).port
    with serve(another_database_url, BROKER_URL=broker) as live:
        path = start(live, 100)  # nobody listens there any more
        forget_the_lease(empty, path)
        with own_server("redis", port) as broker, work(another_database_url, broker):
            job = wait(live, path, is_over)
    check_everything_is_there_once(empty, job, 100)


@on_postgresql
def test_request_does_not_wait_for_a_hanging_broker(
    empty: Flask, another_database_url: str, broker: str
) -> None:
    with serve(another_database_url, BROKER_URL=broker) as live:
        start(live, 1)  # there is a connection now
        server = redis.from_url(broker).info()["process_id"]
        os.kill(server, signal.SIGSTOP)
        try:
            start(live, 1)
        finally:
            os.kill(server, signal.SIGCONT)
    assert rows.count(empty, Job, type="products.import") == 2


@on_sqlite
def test_thread_backend_resumes_job_after_being_killed(
    empty: Flask, another_database_url: str
) -> None:
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        path = start(live)
        wait(live, path, is_half_done)
        for pid in [live.process.pid, *live.workers()]:
            os.kill(pid, signal.SIGKILL)
    forget_the_lease(empty, path)
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        job = wait(live, path, is_over)
    check_everything_is_there_once(empty, job)


@on_sqlite
def test_stopping_thread_backend_requeues_its_job(empty: Flask, another_database_url: str) -> None:
    with serve(another_database_url) as live:
        path = start(live)
        wait(live, path, is_half_done)
    assert rows.read(empty, Job.state) == ["queued"]
    with serve(another_database_url) as live:
        job = wait(live, path, is_over)
    check_everything_is_there_once(empty, job)


@on_sqlite
def test_thread_backend_answers_requests_while_a_job_runs(another_database_url: str) -> None:
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        path = start(live)
        wait(live, path, is_half_done)  # told by the one process that does it

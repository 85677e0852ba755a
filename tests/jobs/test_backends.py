"""Workers in real processes: no job is lost when they are killed or lose their Redis."""

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import redis
from flask import Flask

from app.core.database.types import now
from app.jobs.models import Job
from tests import live as live_service
from tests import rows, services
from tests.articles.models import Article
from tests.conftest import MakeApp, on_postgresql, on_sqlite, own_server
from tests.live import Live, celery_worker

LINES = 50_000


@pytest.fixture
def inspector(another_database_url: str, make_app: MakeApp) -> Flask:
    """An application on the database of the processes, to inspect and change its rows."""
    return make_app(database_url=another_database_url)


HIGH_LIMIT = "100000 per minute"  # progress is polled
serve = partial(live_service.serve, RATE_LIMIT=HIGH_LIMIT, BULK_RATE_LIMIT=HIGH_LIMIT)


def start_import(live: Live, lines: int = LINES) -> str:
    """The path, below /api/v1, of a new job that imports this number of articles."""
    members = {"name": "Mug", "category": "kitchen", "price": "1.50", "currency": "EUR"}
    file = "".join(json.dumps({"sku": f"A{n}", **members}) + "\n" for n in range(lines))
    headers = {**live.log_in(), "Content-Type": "application/x-ndjson"}
    started = live.send("POST", "articles/imports", file.encode(), headers)
    assert started.status == 202, started.body
    return started.headers["Location"].removeprefix("/api/v1/")


def wait_for_job(live: Live, path: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job, as soon as the condition is true for it."""
    headers = live.log_in()
    while True:
        answer = live.call("GET", path, headers=headers)
        assert answer.status == 200, answer.body
        job: dict[str, Any] = answer.json
        if until(job):
            return job
        assert not is_finished(job), job
        time.sleep(0.02)


def is_finished(job: dict[str, Any]) -> bool:
    return job["finished_at"] is not None


def is_half_done(job: dict[str, Any]) -> bool:
    return 0 < job["processed_count"] <= LINES / 2


def expire_lease(app: Flask, path: str) -> None:
    """Let the lease of the job expire, as it does a minute after its worker died."""
    rows.change(app, Job, UUID(path.rpartition("/")[2]), retry_at=now())


def check_every_article_is_imported_once(
    app: Flask, job: dict[str, Any], lines: int = LINES
) -> None:
    assert (job["state"], job["processed_count"], job["failed_count"]) == ("succeeded", lines, 0)
    assert job["result"] == {"created": lines}
    assert rows.count(app, Article, category="kitchen", price=1.5) == lines


@pytest.mark.slow
@on_postgresql
def test_celery_worker_runs_job_of_a_web_process(
    inspector: Flask, another_database_url: str, redis_url: str
) -> None:
    with (
        serve(another_database_url, BROKER_URL=redis_url) as live,
        celery_worker(another_database_url, redis_url),
    ):
        job = wait_for_job(live, start_import(live, 100), is_finished)
    check_every_article_is_imported_once(inspector, job, 100)


@pytest.mark.slow
@on_postgresql
def test_celery_worker_resumes_job_after_being_killed(
    inspector: Flask, another_database_url: str, redis_url: str
) -> None:
    with serve(another_database_url, BROKER_URL=redis_url) as live:
        with celery_worker(another_database_url, redis_url) as worker:
            path = start_import(live)
            wait_for_job(live, path, is_half_done)
            worker.kill()
        assert is_half_done(live.call("GET", path, headers=live.log_in()).json)
        expire_lease(inspector, path)
        with celery_worker(another_database_url, redis_url):
            job = wait_for_job(live, path, is_finished)
    check_every_article_is_imported_once(inspector, job)


@pytest.mark.slow
@on_postgresql
def test_stopping_celery_worker_requeues_its_job(
    inspector: Flask, another_database_url: str, redis_url: str
) -> None:
    with serve(another_database_url, BROKER_URL=redis_url) as live:
        with celery_worker(another_database_url, redis_url) as worker:
            path = start_import(live)
            wait_for_job(live, path, is_half_done)
            worker.terminate()
            assert worker.wait(services.SECONDS) == 0
        assert rows.read(inspector, Job.state) == ["queued"]
        with celery_worker(another_database_url, redis_url):
            job = wait_for_job(live, path, is_finished)
    check_every_article_is_imported_once(inspector, job)


@pytest.mark.slow
@on_postgresql
def test_celery_worker_finds_jobs_whose_messages_were_flushed(
    inspector: Flask, another_database_url: str, redis_url: str
) -> None:
    with serve(another_database_url, BROKER_URL=redis_url) as live:
        path = start_import(live, 100)
        redis.from_url(redis_url).flushall()
        expire_lease(inspector, path)
        with celery_worker(another_database_url, redis_url):
            job = wait_for_job(live, path, is_finished)
    check_every_article_is_imported_once(inspector, job, 100)


@pytest.mark.slow
@on_postgresql
def test_job_created_without_broker_runs_once_the_broker_is_back(
    inspector: Flask, another_database_url: str
) -> None:
    with own_server("redis") as redis_url:
        port = urlsplit(redis_url).port
    with serve(another_database_url, BROKER_URL=redis_url) as live:
        path = start_import(live, 100)  # no server listens on this port
        expire_lease(inspector, path)
        with own_server("redis", port), celery_worker(another_database_url, redis_url):
            job = wait_for_job(live, path, is_finished)
    check_every_article_is_imported_once(inspector, job, 100)


@pytest.mark.slow
@on_postgresql
def test_request_does_not_wait_for_a_hanging_broker(
    inspector: Flask, another_database_url: str, redis_url: str
) -> None:
    with serve(another_database_url, BROKER_URL=redis_url) as live:
        start_import(live, 1)  # opens the connection
        server = redis.from_url(redis_url).info()["process_id"]
        os.kill(server, signal.SIGSTOP)
        try:
            start_import(live, 1)
        finally:
            os.kill(server, signal.SIGCONT)
    assert rows.count(inspector, Job, type="articles.import") == 2


@pytest.mark.slow
@on_sqlite
def test_thread_backend_resumes_job_after_being_killed(
    inspector: Flask, another_database_url: str
) -> None:
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        path = start_import(live)
        wait_for_job(live, path, is_half_done)
        for pid in [live.process.pid, *live.workers()]:
            os.kill(pid, signal.SIGKILL)
    expire_lease(inspector, path)
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        job = wait_for_job(live, path, is_finished)
    check_every_article_is_imported_once(inspector, job)


@pytest.mark.slow
@on_sqlite
def test_stopping_thread_backend_requeues_its_job(
    inspector: Flask, another_database_url: str
) -> None:
    with serve(another_database_url) as live:
        path = start_import(live)
        wait_for_job(live, path, is_half_done)
    assert rows.read(inspector, Job.state) == ["queued"]
    with serve(another_database_url) as live:
        job = wait_for_job(live, path, is_finished)
    check_every_article_is_imported_once(inspector, job)


@pytest.mark.slow
@on_sqlite
def test_stopping_thread_backend_requeues_a_job_that_reads_blank_lines(
    inspector: Flask, another_database_url: str
) -> None:
    """No line of the file makes the job commit, and reading all of them takes many seconds."""
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        headers = {**live.log_in(), "Content-Type": "text/csv"}
        file = b"sku,name,category,price,currency\n" + b"\n" * 40_000_000
        started = live.send("POST", "articles/imports", file, headers)
        assert started.status == 202, started.body
        path = started.headers["Location"].removeprefix("/api/v1/")
        wait_for_job(live, path, lambda job: job["total"] is not None)
    assert rows.read(inspector, Job.state) == ["queued"]
    assert rows.read(inspector, Job.attempts) == [0]


@pytest.mark.slow
@on_sqlite
def test_thread_backend_answers_requests_while_a_job_runs(another_database_url: str) -> None:
    with serve(another_database_url, WEB_CONCURRENCY="1") as live:
        path = start_import(live)
        wait_for_job(live, path, is_half_done)  # answered by the process that runs the job

"""Jobs that run: results, progress, leases, checkpoints."""

from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.extensions import db
from app.jobs.job_run import JobRun
from app.jobs.models import Job
from tests import rows
from tests.api import Api, Caller
from tests.errands.models import Errand
from tests.jobs.job_calls import add_errand, execute, expire_lease, requeue_stale, state
from tests.rows import in_parallel


def test_finished_job_has_its_result_and_no_arguments(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    define_job(lambda run: {"sum": run.arguments["a"] + 1})
    job_id = new_job(a=1)
    before = api.get(f"jobs/{job_id}", by=user, status=200).json
    assert (before["state"], before["result"], before["finished_at"]) == ("queued", None, None)
    execute(app, job_id)
    after = api.get(f"jobs/{job_id}", by=user, status=200).json
    assert (after["state"], after["result"]) == ("succeeded", {"sum": 2})
    assert after["finished_at"] is not None
    assert rows.read(app, Job.arguments, id=job_id) == [{}]


def test_running_job_shows_its_progress(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    seen = []

    def work(run: JobRun) -> None:
        for processed in (1, 2):
            run.checkpoint(processed_count=processed, total=2)
            seen.append(api.get(f"jobs/{run.id}", by=user, status=200))

    define_job(work)
    execute(app, new_job())

    assert [(r.json["state"], r.json["processed_count"]) for r in seen] == [
        ("running", 1),
        ("running", 2),
    ]
    assert seen[0].headers["ETag"] != seen[1].headers["ETag"]


def test_job_that_is_run_concurrently_has_one_effect(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    define_job(add_errand)
    job_id = new_job()
    in_parallel(*[lambda: execute(app, job_id)] * 4)
    execute(app, job_id)
    assert rows.count(app, Errand) == 1


def test_worker_that_lost_its_lease_commits_nothing(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    """The lease of the first worker expires while it works."""
    runs = []

    def work(run: JobRun) -> None:
        runs.append(run)
        add_errand(run, f"attempt {len(runs)}")
        if len(runs) == 1:
            db.session.rollback()  # releases the locks for the other worker
            expire_lease(app, run.id)
            execute(app, run.id)
            add_errand(run, "too late")
        run.checkpoint(processed_count=1)

    define_job(work)
    job_id = new_job()
    execute(app, job_id)

    assert rows.read(app, Errand.title) == ["attempt 2"]
    assert state(app, job_id) == "succeeded"


def test_job_resumes_at_its_checkpoint_when_its_worker_died(
    app: Flask, define_job: Any, new_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As sudden as SIGKILL: nothing catches it."""

    def work(run: JobRun) -> None:
        for number in range(run.position.get("next", 0), 5):
            add_errand(run, f"step {number}")
            if number == 3 and run.attempts == 1:
                raise Killed
            run.checkpoint(processed_count=number + 1, checkpoint={"next": number + 1})

    define_job(work)
    job_id = new_job()
    with pytest.raises(Killed):
        execute(app, job_id)
    assert state(app, job_id) == "running"
    execute(app, job_id)
    assert rows.count(app, Errand) == 3  # its lease has not expired yet

    expire_lease(app, job_id)
    assert requeue_stale(app) == 1
    app.extensions["jobs"].drain()

    assert sorted(rows.read(app, Errand.title)) == [f"step {n}" for n in range(5)]
    assert state(app, job_id) == "succeeded"


def test_job_is_requeued_when_its_process_ends(
    app: Flask, define_job: Any, new_job: Any, sent: list[UUID]
) -> None:
    stopping = app.extensions["jobs"].stopping

    def work(run: JobRun) -> None:
        for number in range(run.position.get("next", 0), 3):
            add_errand(run)
            if number == 1 and not sent:
                stopping.set()
            run.checkpoint(checkpoint={"next": number + 1})

    define_job(work)
    job_id = new_job()
    try:
        execute(app, job_id)
    finally:
        stopping.clear()
    assert state(app, job_id) == "queued"

    assert requeue_stale(app) == 1
    assert sent == [job_id]
    execute(app, job_id)
    assert rows.count(app, Errand) == 3

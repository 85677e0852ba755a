"""Jobs that fail: attempts, backoff, lost messages."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask

from app.core.database.types import now
from app.jobs import runner
from app.jobs.job_run import JobError, JobRun
from app.jobs.models import Job
from tests import rows
from tests.api import Api, Caller
from tests.errands.models import Errand
from tests.jobs.job_calls import (
    add_errand,
    execute,
    expire_lease,
    outcome,
    requeue_stale,
    start_import,
    state,
)


def test_failing_job_is_retried_with_backoff_and_then_fails(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any, sent: list[UUID]
) -> None:
    def work(run: JobRun) -> None:
        add_errand(run)
        raise RuntimeError("secret of the implementation")

    define_job(work, attempts=3)
    job_id = new_job()
    for seconds in (15, 30):
        before = now()
        execute(app, job_id)
        (retry_at,) = rows.read(app, Job.retry_at, id=job_id)
        assert before <= retry_at - timedelta(seconds=seconds) <= now()
    execute(app, job_id)
    assert outcome(api, user, job_id) == ("failed", "Aborted after 3 attempts.")
    assert rows.count(app, Errand) == 0


def test_job_without_attempts_left_fails_without_running(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    define_job(add_errand, attempts=2)
    job_id = new_job()
    rows.change(app, Job, job_id, attempts=2)
    execute(app, job_id)
    assert state(app, job_id) == "failed"
    assert rows.count(app, Errand) == 0


def test_job_that_makes_progress_is_retried_without_limit(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    def work(run: JobRun) -> None:
        for number in range(run.position.get("next", 0), 6):
            run.checkpoint(checkpoint={"next": number + 1})
            if number < 5:
                raise RuntimeError("again")

    define_job(work, attempts=3)
    job_id = new_job()
    for _ in range(6):
        execute(app, job_id)
    assert state(app, job_id) == "succeeded"


def test_job_that_commits_without_progress_fails_after_its_attempts(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    def work(run: JobRun) -> None:
        run.checkpoint(total=10, failed_count=0)  # no line was processed
        raise RuntimeError("again")

    define_job(work, attempts=3)
    job_id = new_job()
    for _ in range(3):
        execute(app, job_id)
    assert outcome(api, user, job_id) == ("failed", "Aborted after 3 attempts.")


def test_progress_resets_the_attempts_of_a_job(app: Flask, define_job: Any, new_job: Any) -> None:
    runs = []

    def work(run: JobRun) -> None:
        runs.append(run)
        if len(runs) == 3:
            run.checkpoint(processed_count=1)
        if len(runs) < 5:
            raise RuntimeError("again")

    define_job(work, attempts=3)
    job_id = new_job()
    for _ in range(5):
        execute(app, job_id)
    assert state(app, job_id) == "succeeded"


def test_job_of_unknown_type_fails_after_its_attempts(
    app: Flask, api: Api, user: Caller, new_job: Any
) -> None:
    job_id = new_job()  # nothing is registered for the type "test"
    for _ in range(runner.ATTEMPTS):
        assert state(app, job_id) == "queued"
        execute(app, job_id)
    assert outcome(api, user, job_id) == ("failed", "Aborted after 5 attempts.")


def test_job_error_is_shown_to_its_owner(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    def work(run: JobRun) -> None:
        add_errand(run)
        raise JobError("The file is not right.")

    define_job(work)
    job_id = new_job()
    execute(app, job_id)
    assert outcome(api, user, job_id) == ("failed", "The file is not right.")
    assert rows.count(app, Errand) == 0


def test_lost_job_message_is_sent_again(
    app: Flask, define_job: Any, new_job: Any, sent: list[UUID]
) -> None:
    define_job(add_errand)
    job_id = new_job()
    assert requeue_stale(app) == 0  # its message may be on its way
    expire_lease(app, job_id)
    assert requeue_stale(app) == 1
    assert sent == [job_id]
    assert requeue_stale(app) == 0  # the next message has its time again


def test_request_succeeds_when_the_job_message_cannot_be_sent(
    app: Flask, api: Api, editor: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.extensions["jobs"], "send", lambda job_id: 1 / 0)
    started = start_import(api, editor)
    monkeypatch.undo()
    expire_lease(app, UUID(started.json["id"]))
    requeue_stale(app)
    app.extensions["jobs"].drain()
    api.get("articles?q=B", status=200)
    done = api.get(started.headers["Location"], by=editor, status=200).json
    assert (done["state"], done["result"]["created"]) == ("succeeded", 1)


def test_message_of_finished_or_unknown_job_does_nothing(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    define_job(add_errand)
    job_id = new_job()
    execute(app, job_id)
    expire_lease(app, job_id)
    execute(app, job_id)
    execute(app, uuid4())
    assert requeue_stale(app) == 0
    assert rows.count(app, Errand) == 1


def test_job_of_a_type_without_handler_is_refused(app: Flask) -> None:
    with app.app_context(), pytest.raises(LookupError, match="there is no job type 'tset'"):
        runner.create_job("tset", {})

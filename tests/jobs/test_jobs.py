"""Jobs: each runs once and none is lost, also when messages are lost or workers are killed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.auth.models import Session
from app.auth.sessions import purge_sessions
from app.core.database.types import now
from app.extensions import db
from app.jobs import runner
from app.jobs.job_run import JobError, JobRun
from app.jobs.models import Job
from app.jobs.periodic import HOUR, PERIODIC_TASKS
from app.jobs.runner import create_job, requeue_stale_jobs, run_job
from app.tasks.models import Task
from tests import rows
from tests.api import Api, Caller
from tests.conftest import MakeApp, on_postgresql
from tests.rows import in_parallel

Handler = Callable[[JobRun], Any]


@pytest.fixture
def define_job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`define_job(handler)` registers the handler of jobs of the type "test"."""

    def register(handler: Handler, attempts: int = 5) -> None:
        monkeypatch.setitem(runner._job_types, "test", runner.JobType(handler, attempts))

    return register


@pytest.fixture
def new_job(app: Flask, user: Caller) -> Callable[..., UUID]:
    """`new_job()` is the id of a queued job of the user, which was not sent to a worker."""

    def create(**arguments: Any) -> UUID:
        with app.app_context():
            job = create_job("test", arguments, owner_id=user.id)
            db.session.add(job)
            db.session.commit()
            return job.id

    return create


@pytest.fixture
def sent(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The ids of the jobs that are sent to a worker; none of them runs."""
    ids: list[UUID] = []
    monkeypatch.setattr(app.extensions["jobs"], "send", ids.append)
    return ids


def execute(app: Flask, job_id: UUID) -> None:
    with app.app_context():
        run_job(job_id)


def requeue_stale(app: Flask) -> int:
    with app.app_context():
        return requeue_stale_jobs()


def state(app: Flask, job_id: UUID) -> str:
    return rows.read(app, Job.state, id=job_id)[0]


def outcome(api: Api, user: Caller, job_id: UUID) -> tuple[str, str | None]:
    """The state and the error of a job, as its owner reads them."""
    job = api.get(f"jobs/{job_id}", by=user, status=200).json
    return job["state"], job["error"]


def start_import(api: Api, editor: Caller, **headers: str) -> TestResponse:
    file = b"sku,name,category,price,currency\nA,B,C,1,EUR\n"
    fields = {"Content-Type": "text/csv", **headers}
    return api.call("POST", "products/imports", data=file, headers=fields, by=editor, status=202)


def add_task(run: JobRun, title: str = "done") -> None:
    """An effect that can be counted."""
    db.session.add(Task(owner_id=run.owner_id, title=title))
    db.session.flush()


def expire_lease(app: Flask, job_id: UUID) -> None:
    """Let the lease of a running job, or the time for its message, expire."""
    rows.change(app, Job, job_id, retry_at=now())


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
    define_job(add_task)
    job_id = new_job()
    in_parallel(*[lambda: execute(app, job_id)] * 4)
    execute(app, job_id)
    assert rows.count(app, Task) == 1


def test_worker_that_lost_its_lease_commits_nothing(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    """The lease of the first worker expires while it works."""
    runs = []

    def work(run: JobRun) -> None:
        runs.append(run)
        add_task(run, f"attempt {len(runs)}")
        if len(runs) == 1:
            db.session.rollback()  # releases the locks for the other worker
            expire_lease(app, run.id)
            execute(app, run.id)
            add_task(run, "too late")
        run.checkpoint(processed_count=1)

    define_job(work)
    job_id = new_job()
    execute(app, job_id)

    assert rows.read(app, Task.title) == ["attempt 2"]
    assert state(app, job_id) == "succeeded"


def test_job_resumes_at_its_checkpoint_when_its_worker_died(
    app: Flask, define_job: Any, new_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """As sudden as SIGKILL: nothing catches it."""

    def work(run: JobRun) -> None:
        for number in range(run.position.get("next", 0), 5):
            add_task(run, f"step {number}")
            if number == 3 and run.attempts == 1:
                raise Killed
            run.checkpoint(processed_count=number + 1, checkpoint={"next": number + 1})

    define_job(work)
    job_id = new_job()
    with pytest.raises(Killed):
        execute(app, job_id)
    assert state(app, job_id) == "running"
    execute(app, job_id)
    assert rows.count(app, Task) == 3  # its lease has not expired yet

    expire_lease(app, job_id)
    assert requeue_stale(app) == 1
    app.extensions["jobs"].drain()

    assert sorted(rows.read(app, Task.title)) == [f"step {n}" for n in range(5)]
    assert state(app, job_id) == "succeeded"


def test_job_is_requeued_when_its_process_ends(
    app: Flask, define_job: Any, new_job: Any, sent: list[UUID]
) -> None:
    stopping = app.extensions["jobs"].stopping

    def work(run: JobRun) -> None:
        for number in range(run.position.get("next", 0), 3):
            add_task(run)
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
    assert rows.count(app, Task) == 3


def test_failing_job_is_retried_with_backoff_and_then_fails(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any, sent: list[UUID]
) -> None:
    def work(run: JobRun) -> None:
        add_task(run)
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
    assert rows.count(app, Task) == 0


def test_job_without_attempts_left_fails_without_running(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    define_job(add_task, attempts=2)
    job_id = new_job()
    rows.change(app, Job, job_id, attempts=2)
    execute(app, job_id)
    assert state(app, job_id) == "failed"
    assert rows.count(app, Task) == 0


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
        add_task(run)
        raise JobError("The file is not right.")

    define_job(work)
    job_id = new_job()
    execute(app, job_id)
    assert outcome(api, user, job_id) == ("failed", "The file is not right.")
    assert rows.count(app, Task) == 0


def test_lost_job_message_is_sent_again(
    app: Flask, define_job: Any, new_job: Any, sent: list[UUID]
) -> None:
    define_job(add_task)
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
    api.get("products?q=B", status=200)
    done = api.get(started.headers["Location"], by=editor, status=200).json
    assert (done["state"], done["result"]["created"]) == ("succeeded", 1)


def test_message_of_finished_or_unknown_job_does_nothing(
    app: Flask, define_job: Any, new_job: Any
) -> None:
    define_job(add_task)
    job_id = new_job()
    execute(app, job_id)
    expire_lease(app, job_id)
    execute(app, job_id)
    execute(app, uuid4())
    assert requeue_stale(app) == 0
    assert rows.count(app, Task) == 1


def test_cancelled_queued_job_does_not_run(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    define_job(add_task)
    job_id = new_job()
    api.delete(f"jobs/{job_id}", by=user, status=204)
    execute(app, job_id)
    assert rows.count(app, Task) == 0
    api.get(f"jobs/{job_id}", by=user, status=404)


def test_cancelled_running_job_stops_and_keeps_its_committed_work(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    def work(run: JobRun) -> None:
        add_task(run, "before")
        run.checkpoint()
        api.delete(f"jobs/{run.id}", by=user, status=204)
        add_task(run, "after")
        run.checkpoint()

    define_job(work)
    execute(app, new_job())
    assert rows.read(app, Task.title) == ["before"]


def test_cancelling_a_job_writes_an_audit_event(
    app: Flask, api: Api, user: Caller, admin: Caller, new_job: Any
) -> None:
    job_id = new_job()
    api.delete(f"jobs/{job_id}", by=user, status=204)
    found = api.get(f"audit-events?resource_id={job_id}", by=admin, status=200).json["items"]
    assert [(e["action"], e["resource"], e["actor_id"]) for e in found] == [
        ("delete", "jobs", str(user.id))
    ]


def test_job_is_visible_to_its_owner_and_admins_only(
    api: Api, user: Caller, other: Caller, admin: Caller, new_job: Any
) -> None:
    job_id = new_job()
    for path in (f"jobs/{job_id}", f"jobs/{job_id}/problems"):
        api.get(path, by=user, status=200)
        api.get(path, by=admin, status=200)
        api.get(path, by=other, status=404)
        api.get(path, status=401)
    api.delete(f"jobs/{job_id}", by=other, status=404)
    assert [len(api.get("jobs", by=c).json["items"]) for c in (user, other, admin)] == [1, 0, 1]


def test_problems_of_unknown_job_are_404(api: Api, user: Caller) -> None:
    api.get(f"jobs/{uuid4()}/problems", by=user, status=404)


def test_jobs_are_filtered_by_type_and_state(api: Api, user: Caller, new_job: Any) -> None:
    new_job()
    for query, count in (
        ("type=test", 1),
        ("type=mail", 0),
        ("state=queued", 1),
        ("state=failed", 0),
    ):
        assert len(api.get(f"jobs?{query}", by=user, status=200).json["items"]) == count
    api.get("jobs?state=lost", by=user, status=422)


def test_job_response_does_not_contain_its_arguments(api: Api, user: Caller, new_job: Any) -> None:
    job_id = new_job(email="ada@example.com")
    assert "ada@" not in api.get(f"jobs/{job_id}", by=user, status=200).text


def test_audit_events_of_a_job_name_the_request_that_created_it(
    app: Flask, api: Api, editor: Caller, admin: Caller
) -> None:
    started = start_import(api, editor, **{"X-Request-ID": "request-of-the-import"})
    assert started.headers["X-Request-ID"] == "request-of-the-import"
    events = api.get("audit-events?resource=products", by=admin, status=200).json["items"]
    assert [(e["action"], e["actor_id"], e["request_id"], e["ip_address"]) for e in events] == [
        ("create", str(editor.id), "request-of-the-import", "127.0.0.1")
    ]
    assert events[0]["after"]["price"] == "1.00"


@pytest.fixture
def finished(app: Flask, define_job: Any, new_job: Any) -> list[UUID]:
    define_job(lambda run: None)
    ids = [new_job() for _ in range(3)]
    for job_id in ids[:2]:
        execute(app, job_id)
    rows.change(app, Job, ids[0], finished_at=now() - timedelta(days=8))
    return ids


def test_maintenance_deletes_jobs_that_finished_a_week_ago(
    app: Flask, finished: list[UUID]
) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "jobs"])
    assert result.output == "jobs: 1\n"
    assert sorted(rows.read(app, Job.id)) == sorted(finished[1:])


def test_maintenance_deletes_expired_and_idle_sessions_only(
    app: Flask, user: Caller, other: Caller, editor: Caller
) -> None:
    expired, idle, valid = (
        rows.read(app, Session.id, owner_id=who.id)[0] for who in (user, other, editor)
    )
    rows.change(app, Session, expired, expires_at=now())
    rows.change(app, Session, idle, last_used_at=now() - timedelta(days=8))
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "sessions"])
    assert result.output == "sessions: 2\n"
    assert rows.read(app, Session.id) == [valid]


@on_postgresql
def test_maintenance_skips_locked_rows(app: Flask, user: Caller, other: Caller) -> None:
    for who in (user, other):
        [session] = rows.read(app, Session.id, owner_id=who.id)
        rows.change(app, Session, session, expires_at=now())
    with app.app_context(), db.engine.begin() as holder:
        holder.execute(select(Session.id).where(Session.id == session).with_for_update())
        assert purge_sessions() == 1
    with app.app_context():
        assert purge_sessions() == 1


def test_maintenance_command_runs_every_task(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run"])
    assert result.exit_code == 0, result.output
    assert {line.partition(":")[0] for line in result.output.splitlines()} == {
        "audit-events",
        "email-changes",
        "email-tokens",
        "idempotency-keys",
        "import-seen-skus",
        "jobs",
        "known-devices",
        "login-attempts",
        "sessions",
        "unsent-jobs",
        "uploads",
    }


def test_maintenance_command_refuses_unknown_task(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["maintenance", "run", "everything"])
    assert result.exit_code == 2
    assert "everything" in result.output


def test_celery_schedules_periodic_tasks(make_app: MakeApp) -> None:
    celery = make_app(broker_url="redis://127.0.0.1:1/0").extensions["celery"]
    celery.finalize()  # as `celery beat` does
    schedule = celery.conf.beat_schedule
    assert {name: entry["args"] for name, entry in schedule.items()} == {
        name: (name,) for name in PERIODIC_TASKS
    }
    assert {entry["task"] for entry in schedule.values()} == {"jobs.periodic"}
    assert schedule["sessions"]["schedule"] == schedule["sessions"]["options"]["expires"] == HOUR

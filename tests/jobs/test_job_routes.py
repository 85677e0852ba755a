"""Jobs as their owners see and cancel them."""

from typing import Any
from uuid import uuid4

from flask import Flask

from app.jobs.job_run import JobRun
from tests import rows
from tests.api import Api, Caller
from tests.errands.models import Errand
from tests.jobs.job_calls import add_errand, execute, start_import


def test_cancelled_queued_job_does_not_run(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    define_job(add_errand)
    job_id = new_job()
    api.delete(f"jobs/{job_id}", by=user, status=204)
    execute(app, job_id)
    assert rows.count(app, Errand) == 0
    api.get(f"jobs/{job_id}", by=user, status=404)


def test_cancelled_running_job_stops_and_keeps_its_committed_work(
    app: Flask, api: Api, user: Caller, define_job: Any, new_job: Any
) -> None:
    def work(run: JobRun) -> None:
        add_errand(run, "before")
        run.checkpoint()
        api.delete(f"jobs/{run.id}", by=user, status=204)
        add_errand(run, "after")
        run.checkpoint()

    define_job(work)
    execute(app, new_job())
    assert rows.read(app, Errand.title) == ["before"]


# begin audit
def test_cancelling_a_job_writes_an_audit_event(
    app: Flask, api: Api, user: Caller, admin: Caller, new_job: Any
) -> None:
    job_id = new_job()
    api.delete(f"jobs/{job_id}", by=user, status=204)
    found = api.get(f"audit-events?resource_id={job_id}", by=admin, status=200).json["items"]
    assert [(e["action"], e["resource"], e["actor_id"]) for e in found] == [
        ("delete", "jobs", str(user.id))
    ]


# end audit
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


# begin audit
def test_audit_events_of_a_job_name_the_request_that_created_it(
    app: Flask, api: Api, editor: Caller, admin: Caller
) -> None:
    started = start_import(api, editor, **{"X-Request-ID": "request-of-the-import"})
    assert started.headers["X-Request-ID"] == "request-of-the-import"
    events = api.get("audit-events?resource=articles", by=admin, status=200).json["items"]
    assert [(e["action"], e["actor_id"], e["request_id"], e["ip_address"]) for e in events] == [
        ("create", str(editor.id), "request-of-the-import", "127.0.0.1")
    ]
    assert events[0]["after"]["price"] == "1.00"


# end audit

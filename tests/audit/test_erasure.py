"""Personal values in audit events: blanked with the account, deleted after a time."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from app.audit import erasure
from app.audit.models import AuditEvent
from app.core.database.types import now
from app.jobs.models import Job
from app.jobs.runner import requeue_stale_jobs
from tests import rows
from tests.api import PASSWORD, Api, Caller, run_command
from tests.auth.login import log_in

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}
ADA = {"email": "ada.private@example.com", "name": "Ada Privately", "password": PASSWORD}


def events(api: Api, admin: Caller, query: str = "limit=100") -> list[dict[str, Any]]:
    return api.get(f"audit-events?{query}", by=admin, status=200).json["items"]


def live(api: Api) -> Caller:
    """Register an account that leaves personal values in the audit log."""
    account = api.post("users", ADA, status=201).json
    ada = api.sign_in(Caller(UUID(account["id"]), ADA["email"], "user", {}))
    api.patch("users/me", {"name": "Ada Privately Again"}, by=ada, status=200)
    for title in ("private-title-1", "private-title-2"):
        note = api.post("notes", {"text": title}, by=ada, status=201).headers["Location"]
        api.patch(note, {"text": f"{title}-changed"}, by=ada, status=200)
    api.delete(note, by=ada, status=204)
    parcel = api.post("parcels", {"content": "private-content"}, by=ada, status=201)
    stamp = {"price": 90, "postmarks": [{"place": "private-place"}]}
    api.post(f"{parcel.headers['Location']}/stamps", stamp, by=ada, status=201)
    body = {"name": "private-key-name", "scopes": ["parcels:own"]}
    api.post("auth/api-keys", body, by=ada, status=201)
    log_in(api, ADA["email"], status=200)
    return ada


@pytest.mark.parametrize("deleted_by", ["owner", "admin"])
def test_deleted_account_leaves_no_personal_value_in_the_audit_log(
    app: Flask, api: Api, admin: Caller, deleted_by: str
) -> None:
    ada = live(api)
    before = events(api, admin)
    assert "private" in str(before)
    if deleted_by == "owner":
        api.delete("users/me", by=ada, status=204)
    else:
        api.delete(f"users/{ada.id}", by=admin, status=204)
    after = events(api, admin)
    assert "private" not in str(after).lower()
    kept = ("id", "actor_id", "action", "resource", "resource_id", "created_at", "request_id")
    known = {event["id"]: event for event in after}
    for event in before:
        assert [event[name] for name in kept] == [known[event["id"]][name] for name in kept]
    assert next(event["action"] for event in after if event["resource"] == "users") == "delete"
    assert {event["ip_address"] for event in after if event["actor_id"] == str(ada.id)} == {None}


def test_erasure_keeps_events_of_others_and_of_rows_that_stay(
    api: Api, admin: Caller, editor: Caller, user: Caller
) -> None:
    mug = api.post("articles", MUG, by=editor, status=201).json
    note = api.post("notes", {"text": "Stays"}, by=user, status=201).json
    api.delete("users/me", by=editor, status=204)
    (article_event,) = events(api, admin, f"resource_id={mug['id']}")
    assert article_event["after"] == mug
    assert article_event["actor_id"] == str(editor.id)
    assert article_event["ip_address"] is None
    (note_event,) = events(api, admin, f"resource_id={note['id']}")
    assert (note_event["after"], note_event["ip_address"]) == (note, "127.0.0.1")


def test_refused_deletion_erases_nothing(api: Api, app: Flask, admin: Caller) -> None:
    ada = live(api)
    before = events(api, admin)
    api.delete("users/me", by=ada, etag='"7"', status=412)
    api.delete("users/me", by=admin, status=409)
    assert events(api, admin) == before


# begin jobs
def test_erasure_is_repeated_until_it_succeeds(
    app: Flask, api: Api, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = live(api)
    with monkeypatch.context() as broken:
        broken.setattr(erasure, "_update_in_batches", lambda *_: 1 / 0)
        api.delete("users/me", by=ada, status=204)
    assert "private" in str(events(api, admin))
    (job_id,) = rows.read(app, Job.id, type="audit.erase", state="queued")
    monkeypatch.setattr(erasure, "BATCH", 1)
    rows.change(app, Job, job_id, retry_at=now() - timedelta(seconds=1))
    with app.app_context():
        requeue_stale_jobs()
    app.extensions["jobs"].drain()
    assert "private" not in str(events(api, admin)).lower()


# end jobs
def test_events_are_deleted_after_the_retention_period(
    app: Flask, api: Api, user: Caller, admin: Caller
) -> None:
    old = api.post("notes", {"text": "Old"}, by=user, status=201).json["id"]
    new = api.post("notes", {"text": "New"}, by=user, status=201).json["id"]
    days = timedelta(days=app.config["AUDIT_RETENTION_DAYS"])
    for event_id in rows.read(app, AuditEvent.id):
        rows.change(app, AuditEvent, event_id, created_at=now() - days + timedelta(minutes=5))
    (expired,) = rows.read(app, AuditEvent.id, resource="notes", action="create")[:1]
    rows.change(app, AuditEvent, expired, created_at=now() - days)
    count = rows.count(app, AuditEvent)
    printed = run_command(app, "maintenance", "run", "audit-events").output
    assert printed == "audit-events: 1\n"
    assert rows.count(app, AuditEvent) == count - 1
    assert {old, new} & {event["resource_id"] for event in events(api, admin)}

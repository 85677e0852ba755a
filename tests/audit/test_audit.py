"""Audit events: who changed what, when and from where, in the transaction of the change."""

from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from app.core.resources import audit_log
from examples.notes.models import Note
from tests import rows
from tests.api import PASSWORD, Api, Caller, bearer
from tests.conftest import on_postgresql

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}


def events(api: Api, admin: Caller, query: str = "") -> list[dict]:
    return api.get(f"audit-events?{query}", by=admin, status=200).json["items"]


def test_audit_event_of_creation_has_all_members(api: Api, editor: Caller, admin: Caller) -> None:
    created = api.post("articles", MUG, by=editor, status=201)
    (event,) = events(api, admin, f"resource_id={created.json['id']}")
    assert (event["action"], event["resource"]) == ("create", "articles")
    assert event["actor_id"] == str(editor.id)
    assert event["ip_address"] == "127.0.0.1"
    assert event["request_id"] == created.headers["X-Request-ID"]
    assert event["before"] is None
    assert event["after"] == created.json


def test_audit_event_of_update_has_changed_members_only(
    api: Api, editor: Caller, admin: Caller
) -> None:
    article = api.post("articles", MUG, by=editor, status=201).json["id"]
    api.patch(f"articles/{article}", {"price": "11.00", "name": "Mug"}, by=editor, status=200)
    newest = events(api, admin, f"resource_id={article}")[0]
    assert newest["action"] == "update"
    assert newest["before"] == {"price": "12.50"}
    assert newest["after"] == {"price": "11.00"}


def test_audit_event_of_deletion_has_deleted_item(api: Api, user: Caller, admin: Caller) -> None:
    note = api.post("notes", {"text": "Gone soon"}, by=user, status=201)
    api.delete(note.headers["Location"], by=user, status=204)
    newest = events(api, admin, f"resource_id={note.json['id']}")[0]
    assert newest["action"] == "delete"
    assert newest["before"] == note.json
    assert newest["after"] is None


def test_refused_or_empty_update_writes_no_audit_event(
    api: Api, user: Caller, admin: Caller
) -> None:
    note = api.post("notes", {"text": "Stays"}, by=user, status=201).headers["Location"]
    before = len(events(api, admin))
    api.patch(note, {}, by=user, status=200)
    api.patch(note, {"text": "x"}, etag='"7"', by=user, status=412)
    api.patch(note, {"text": ""}, by=user, status=422)
    api.get(note, by=user, status=200)
    assert len(events(api, admin)) == before


def test_change_is_rolled_back_when_its_audit_event_cannot_be_written(
    api: Api, user: Caller, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_change: audit_log.Change) -> None:
        raise ValueError("no room to write")

    audit_log.changes_committing.connect(fail)
    try:
        api.post("notes", {"text": "Not audited"}, by=user, status=500)
    finally:
        audit_log.changes_committing.disconnect(fail)
    assert api.get("notes", by=user, status=200).json["items"] == []
    assert events(api, admin) == []


@pytest.fixture
def note(api: Api, user: Caller) -> str:
    return api.post("notes", {"text": "First"}, by=user, status=201).headers["Location"]


def send_during_update(app: Flask, note: str, call: rows.Call) -> Any:
    """The response to a request whose row another transaction updates."""
    theirs = update(Note).where(Note.id == UUID(note.rpartition("/")[2]))
    theirs = theirs.values(text="Theirs", version=Note.version + 1)
    [answer] = rows.blocked_by_lock(app, theirs, call)
    return answer


@on_postgresql
def test_write_of_concurrently_updated_row_is_412_and_not_audited(
    api: Api, app: Flask, user: Caller, admin: Caller, note: str
) -> None:
    before = len(events(api, admin))
    for n, call in enumerate(
        (partial(api.patch, note, {"text": "Mine"}), partial(api.delete, note))
    ):
        mine = partial(call, etag=f'"{n + 1}"', by=user, status=412)
        send_during_update(app, note, mine)
    assert api.get(note, by=user, status=200).json["text"] == "Theirs"
    assert len(events(api, admin)) == before


@on_postgresql
def test_write_with_any_version_audits_the_concurrently_updated_row(
    api: Api, app: Flask, user: Caller, admin: Caller, note: str
) -> None:
    mine = partial(api.patch, note, {"text": "Mine"}, etag="*", by=user, status=200)
    changed = send_during_update(app, note, mine).json
    assert (changed["text"], changed["version"]) == ("Mine", 3)
    assert events(api, admin)[0]["before"] == {"text": "Theirs"}
    send_during_update(app, note, partial(api.delete, note, etag="*", by=user, status=204))
    assert events(api, admin)[0]["before"]["text"] == "Theirs"
    api.get(note, by=user, status=404)


def test_audit_events_contain_no_secret(api: Api, admin: Caller) -> None:
    account = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    api.post("users", account, status=201)
    login = {"email": account["email"], "password": PASSWORD}
    tokens = api.post("auth/login", login, status=200).json
    change = {"current_password": PASSWORD, "new_password": "quite another password"}
    api.put("users/me/password", change, headers=bearer(tokens["access_token"]), status=204)
    logged = str(events(api, admin))
    for secret in (PASSWORD, "quite another password", "argon2", tokens["refresh_token"]):
        assert secret not in logged


def test_audit_log_records_account_and_session_changes(
    api: Api, user: Caller, admin: Caller
) -> None:
    api.post("auth/login", {"email": user.email, "password": PASSWORD}, status=200)
    change = {"current_password": PASSWORD, "new_password": "quite another password"}
    api.put("users/me/password", change, by=user, status=204)
    api.patch(f"users/{user.id}", {"role": "editor"}, by=admin, status=200)
    logged = [(e["resource"], e["action"]) for e in events(api, admin, "sort=created_at")]
    assert logged == [
        ("sessions", "create"),
        ("users", "change_password"),
        ("sessions", "delete"),
        ("users", "update"),
    ]


def test_audit_events_of_login_and_logout_name_the_account(
    api: Api, user: Caller, admin: Caller
) -> None:
    login = {"email": user.email, "password": PASSWORD}
    token = api.post("auth/login", login, status=200).json["access_token"]
    api.post("auth/logout", headers=bearer(token), status=204)
    ended, begun = events(api, admin, "resource=sessions")
    owner = {"owner_id": str(user.id)}
    assert (begun["action"], begun["before"], begun["after"]) == ("create", None, owner)
    assert (ended["action"], ended["before"], ended["after"]) == ("delete", owner, None)


def test_audit_events_are_found_by_every_filter(api: Api, user: Caller, admin: Caller) -> None:
    note = api.post("notes", {"text": "Find me"}, by=user, status=201)
    api.patch(f"users/{user.id}", {"name": "x"}, by=admin)
    found = events(api, admin)[0]
    for query in (
        f"actor_id={user.id}",
        "action=create",
        "resource=notes",
        f"resource_id={note.json['id']}",
        f"request_id={note.headers['X-Request-ID']}",
        f"created_from={found['created_at']}",
    ):
        assert [e["id"] for e in events(api, admin, query)] == [found["id"]], query
    assert events(api, admin, f"created_to={found['created_at']}") == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_audit_events_cannot_be_changed(api: Api, user: Caller, admin: Caller, method: str) -> None:
    api.post("notes", {"text": "Audited"}, by=user, status=201)
    event = events(api, admin)[0]["id"]
    api.call(method, f"audit-events/{event}", by=admin, status=405)

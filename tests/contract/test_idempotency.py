"""Idempotency-Key on every POST that creates: a retry has no second effect."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Uuid, func, select, update
from werkzeug.test import TestResponse

from app.core.database.types import now
from app.core.resources.idempotency import IdempotencyKey
from app.extensions import db
from tests.api import PASSWORD, PASSWORD_HASH
from tests.contract.document import document_of
from tests.contract.operations import CREATES, ITEMS, OPERATIONS, Operation, ids
from tests.contract.world import World

every_create = pytest.mark.parametrize("create", CREATES, ids=ids)


def post(
    world: World, create: Operation, key: str, sent: dict[str, Any], by: str = "", **kwargs: Any
) -> TestResponse:
    caller, headers = world.caller(by) if by else world.writer(create), {"Idempotency-Key": key}
    return world.api.call("POST", create.rule, by=caller, headers=headers, **sent, **kwargs)


def other_content(world: World, create: Operation) -> dict[str, Any]:
    """A valid body that differs in one place."""
    content = world.content(create)
    if "data" in content:
        return content | {"data": content["data"] + b"x"}
    members = content["json"]
    members[next(name for name, value in members.items() if isinstance(value, str))] += "x"
    return content


def rows(world: World, created: TestResponse) -> int:
    """The number of rows in the table that a created one belongs to."""
    row_id = UUID(created.json["id"])
    tables = [t for t in db.metadata.sorted_tables if "id" in t.c and isinstance(t.c.id.type, Uuid)]
    with world.api.app.app_context():
        table = next(t for t in tables if db.session.scalar(select(t.c.id).where(t.c.id == row_id)))
        return db.session.scalar(select(func.count()).select_from(table))


@every_create
def test_retry_with_idempotency_key_replays_status_body_and_headers(
    world: World, create: Operation
) -> None:
    body = world.content(create)
    first = post(world, create, "key-1", body, status=201)
    before = rows(world, first)
    again = post(world, create, "key-1", body, status=201)
    assert rows(world, first) == before
    assert again.data == first.data
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    for name in ("Location", "ETag", "Content-Type", "Cache-Control"):
        assert again.headers[name] == first.headers[name]


@every_create
def test_idempotency_key_may_be_quoted_or_bare(world: World, create: Operation) -> None:
    body = world.content(create)
    first = post(world, create, '"key-1"', body, status=201)
    assert post(world, create, "key-1", body, status=201).data == first.data


@every_create
def test_idempotency_key_with_another_payload_is_422_and_creates_nothing(
    world: World, create: Operation
) -> None:
    first = post(world, create, "key-1", world.content(create), status=201)
    before = rows(world, first)
    refused = post(world, create, "key-1", other_content(world, create))
    assert refused.status_code == 422
    assert rows(world, first) == before


def skip_without_caller(create: Operation) -> None:
    """Keys of an operation that ignores credentials belong to the client's address."""
    if create.access.skip_authentication:
        pytest.skip("ignores credentials")


@every_create
def test_idempotency_key_of_another_route_is_422(world: World, create: Operation) -> None:
    skip_without_caller(create)
    elsewhere = next(c for c in CREATES if c.rule != create.rule and not c.access.anonymous)
    by = "admin"
    post(world, elsewhere, "key-1", world.content(elsewhere), by, status=201)
    refused = post(world, create, "key-1", world.content(create), by, status=422)
    assert refused.json["type"] == "/problems/idempotency-key-reused"


@every_create
def test_idempotency_key_is_scoped_to_the_caller(world: World, create: Operation) -> None:
    skip_without_caller(create)
    if create.of_item and create.is_private:
        pytest.skip("only one caller can see the parent")
    editor, admin = (world.content(create, by) for by in (world.editor, world.admin))
    first = post(world, create, "key-1", editor, "editor", status=201)
    other = post(world, create, "key-1", admin, "admin")
    # A parent may have one such row only.
    assert other.status_code in ((201, 409) if create.of_item else (201,))
    assert other.json.get("id") != first.json["id"]


@every_create
def test_malformed_idempotency_key_is_400(world: World, create: Operation) -> None:
    for key in ("", '""', '"open', "two words", "é", "k" * 256, "a,\tb"):
        post(world, create, key, world.content(create), status=400)


@every_create
def test_failed_create_is_not_stored_for_replay(world: World, create: Operation) -> None:
    nothing = {"data": b"", "content_type": create.file[0]} if create.file else {"json": {}}
    post(world, create, "key-1", nothing, status=422)
    post(world, create, "key-1", world.content(create), status=201)


@every_create
def test_expired_idempotency_key_counts_as_new(world: World, create: Operation) -> None:
    first = post(world, create, "key-1", world.content(create), status=201)
    with world.api.app.app_context():
        db.session.execute(update(IdempotencyKey).values(expires_at=now() - timedelta(seconds=1)))
        db.session.commit()
    for delete in (i for i in ITEMS if i.method == "DELETE" and i.collection == create.rule):
        # Its parent may have room for one row only.
        world.api.delete(first.headers["Location"], by=world.writer(delete), status=204)
    second = post(world, create, "key-1", world.content(create), status=201)
    assert second.json["id"] != first.json["id"]
    assert "Idempotent-Replayed" not in second.headers


# Their responses have credentials, or they end or replace them.
IGNORE_KEYS = {
    "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/auth/cookies",
    "/api/v1/auth/cookies/refresh", "/api/v1/auth/password/reset",
    # begin oidc
    *(f"/api/v1/auth/oidc/{name}" for name in (
        "logins", "logins/finish", "links", "links/native", "links/native/finish",
    )),
    # end oidc
    # begin mfa
    *(f"/api/v1/auth/mfa/{name}" for name in (
        "recovery-codes", "passkeys", "passkeys/options", "enrolment", "code", "code/cookies",
        "passkey", "passkey/cookies", "passkey/options",
    )),
    # end mfa
}  # fmt: skip


def test_every_post_honours_idempotency_keys_but_those_with_credentials(world: World) -> None:
    paths = document_of(world.api.app)["paths"]
    honour = {
        path
        for path, methods in paths.items()
        if any(
            "Idempotency-Key" in str(each) for each in methods.get("post", {}).get("parameters", ())
        )
    }
    posts = {path for path, methods in paths.items() if "post" in methods}
    assert posts - honour == IGNORE_KEYS


OTHER_POSTS = [
    o
    for o in OPERATIONS
    if o.method == "POST" and o not in CREATES and o.rule not in IGNORE_KEYS and "<" not in o.rule
]


@pytest.mark.parametrize("post_", OTHER_POSTS, ids=ids)
def test_retry_of_any_post_has_one_effect(world: World, post_: Operation) -> None:
    headers, by = {"Idempotency-Key": "key-1"}, world.writer(post_)
    sent = world.content(post_)
    first = world.api.call("POST", post_.rule, by=by, headers=headers, **sent)
    if first.status_code >= 400:  # the token in the example is not valid
        assert first.status_code == 401
        return
    # begin jobs
    with world.api.app.app_context():
        before = db.session.scalar(select(func.count()).select_from(db.metadata.tables["jobs"]))
    # end jobs
    again = world.api.call("POST", post_.rule, by=by, headers=headers, **sent)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    for name in ("Location", "ETag", "Content-Type", "Cache-Control"):
        assert again.headers.get(name) == first.headers.get(name)
    # begin jobs
    with world.api.app.app_context():
        after = db.session.scalar(select(func.count()).select_from(db.metadata.tables["jobs"]))
    assert after == before
    # end jobs


def test_password_of_a_registration_with_a_key_is_hashed_in_no_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = []

    def hash_password(password: str) -> str:
        began.append(db.session.registry.has() and db.session().in_transaction())
        return PASSWORD_HASH

    monkeypatch.setattr("app.auth.user_routes.hash_password", hash_password)
    body = {"email": "new@example.com", "name": "New", "password": PASSWORD}
    headers = {"Idempotency-Key": "key-1"}
    first = world.api.post("users", body, headers=headers, status=201)
    again = world.api.post("users", body, headers=headers, status=201)
    assert (again.data, again.headers["Idempotent-Replayed"]) == (first.data, "true")
    assert began == [False, False]

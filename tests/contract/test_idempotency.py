"""Idempotency-Key on every POST that creates: a retry has no second effect."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.core.database.types import now
from app.core.resources.idempotency import IdempotencyKey
from app.extensions import db
from tests.contract.operations import CREATES, Operation, World, ids

every_create = pytest.mark.parametrize("create", CREATES, ids=ids)


def post(world: World, create: Operation, key: str, body: dict, by: str = "", **kwargs):
    caller = world.callers[by] if by else world.writer(create)
    return world.api.post(create.rule, body, by=caller, headers={"Idempotency-Key": key}, **kwargs)


def rows(world: World, create: Operation) -> int:
    table = create.rule.rpartition("/")[2].replace("-", "_")
    with world.api.app.app_context():
        return db.session.scalar(select(func.count()).select_from(db.metadata.tables[table]))


@every_create
def test_retry_with_idempotency_key_replays_status_body_and_headers(
    world: World, create: Operation
) -> None:
    body = world.body(create)
    first = post(world, create, "key-1", body, status=201)
    before = rows(world, create)
    again = post(world, create, "key-1", body, status=201)
    assert rows(world, create) == before
    assert again.data == first.data
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    for name in ("Location", "ETag", "Content-Type", "Cache-Control"):
        assert again.headers[name] == first.headers[name]


@every_create
def test_idempotency_key_may_be_quoted_or_bare(world: World, create: Operation) -> None:
    body = world.body(create)
    first = post(world, create, '"key-1"', body, status=201)
    assert post(world, create, "key-1", body, status=201).data == first.data


@every_create
def test_idempotency_key_with_another_payload_is_422_and_creates_nothing(
    world: World, create: Operation
) -> None:
    post(world, create, "key-1", world.body(create), status=201)
    before = rows(world, create)
    other = world.body(create)
    other[next(name for name, value in other.items() if isinstance(value, str))] += "x"
    refused = post(world, create, "key-1", other)
    assert refused.status_code == 422
    assert rows(world, create) == before


def skip_without_caller(create: Operation) -> None:
    """Keys of an operation that ignores credentials belong to the client's address."""
    if create.access.skip_authentication:
        pytest.skip("ignores credentials")


@every_create
def test_idempotency_key_of_another_route_is_422(world: World, create: Operation) -> None:
    skip_without_caller(create)
    elsewhere = next(c for c in CREATES if c.rule != create.rule and not c.access.anonymous)
    by = "admin"
    post(world, elsewhere, "key-1", world.body(elsewhere), by, status=201)
    refused = post(world, create, "key-1", world.body(create), by, status=422)
    assert refused.json["type"] == "/problems/idempotency-key-reused"


@every_create
def test_idempotency_key_is_scoped_to_the_caller(world: World, create: Operation) -> None:
    skip_without_caller(create)
    first = post(world, create, "key-1", world.body(create), "editor", status=201)
    other = post(world, create, "key-1", world.body(create), "admin", status=201)
    assert other.json["id"] != first.json["id"]


@every_create
@pytest.mark.parametrize("key", ["", '""', '"open', "two words", "é", "k" * 256, "a,\tb"])
def test_malformed_idempotency_key_is_400(world: World, create: Operation, key: str) -> None:
    post(world, create, key, world.body(create), status=400)


@every_create
def test_failed_create_is_not_stored_for_replay(world: World, create: Operation) -> None:
    post(world, create, "key-1", {}, status=422)
    post(world, create, "key-1", world.body(create), status=201)


@every_create
def test_expired_idempotency_key_counts_as_new(world: World, create: Operation) -> None:
    first = post(world, create, "key-1", world.body(create), status=201)
    with world.api.app.app_context():
        db.session.execute(update(IdempotencyKey).values(expires_at=now() - timedelta(seconds=1)))
        db.session.commit()
    second = post(world, create, "key-1", world.body(create), status=201)
    assert second.json["id"] != first.json["id"]
    assert "Idempotent-Replayed" not in second.headers

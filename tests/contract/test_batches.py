"""Batches of every resource: one transaction, with the rules of single requests."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.api import Caller
from tests.conftest import Counter
from tests.contract.operations import BATCHES, CREATES, ITEMS, Operation, ids
from tests.contract.world import World

NEVER = "01890a5d-ac96-774b-bcce-b302099a8057"
OTHER = "01890a5d-ac96-774b-bcce-b302099a8058"
every_batch = pytest.mark.parametrize("batch", BATCHES, ids=ids)


def single(batch: Operation, method: str) -> Operation:
    """The operation of the same resource on a single item."""
    collection = batch.rule.rpartition("/")[0]
    operations = CREATES if method == "POST" else ITEMS
    return next(o for o in operations if o.method == method and o.collection == collection)


def create(world: World, batch: Operation, by: Caller | None = None) -> dict[str, Any]:
    return {"op": "create", "value": world.body(single(batch, "POST"), by)}


def change(world: World, batch: Operation, item_id: str, tag: str = '"1"') -> dict[str, Any]:
    value = world.body(single(batch, "PATCH"))
    return {"op": "update", "id": item_id, "if_match": tag, "value": value}


def delete(item_id: str, tag: str = '"1"') -> dict[str, Any]:
    return {"op": "delete", "id": item_id, "if_match": tag}


def send(world: World, batch: Operation, *items: Any, **kwargs: Any) -> TestResponse:
    kwargs = {"by": world.writer(batch)} | kwargs
    return world.api.post(batch.rule, {"items": list(items)}, **kwargs)


def made(world: World, batch: Operation, n: int) -> list[str]:
    """The ids of new items."""
    done = send(world, batch, *(create(world, batch) for _ in range(n)), status=200).json["items"]
    return [each["id"] for each in done]


def foreign_id(world: World, batch: Operation) -> str:
    """The id of a row of another user, or of no row where they are shared."""
    if not batch.is_private:
        return OTHER
    others = create(world, batch, world.other)
    done = send(world, batch, others, by=world.other, status=200).json["items"]
    return str(done[0]["id"])


def everything(world: World, batch: Operation) -> list[dict[str, Any]]:
    page = world.api.get(f"{batch.rule.rpartition('/')[0]}?limit=100", by=world.writer(batch))
    return page.json["items"]


def problems(response: TestResponse) -> list[tuple[str, int, str]]:
    assert response.status_code == 422
    assert response.json["type"] == "/problems/batch-failed"
    return [
        (e["pointer"], e["status"], e["type"].rpartition("/")[2]) for e in response.json["errors"]
    ]


@every_batch
def test_batch_answers_each_item_like_a_single_request(world: World, batch: Operation) -> None:
    old, doomed = made(world, batch, 2)
    items = [change(world, batch, old), create(world, batch), delete(doomed)]
    changed, created, deleted = send(world, batch, *items, status=200).json["items"]
    assert (changed["status"], changed["id"], changed["etag"][:2]) == (200, old, '"2')
    assert (created["status"], created["etag"][:2]) == (201, '"1')
    assert deleted == {"status": 204, "id": doomed}
    for done in (changed, created):
        path = f"{batch.rule.rpartition('/')[0]}/{done['id']}"
        read = world.api.get(path, by=world.writer(batch), status=200)
        assert (read.json, read.headers["ETag"]) == (done["value"], done["etag"])
    assert doomed not in [item["id"] for item in everything(world, batch)]


@every_batch
def test_batch_with_failing_items_names_each_and_changes_nothing(
    world: World, batch: Operation
) -> None:
    first, second, third, fourth = made(world, batch, 4)
    foreign = foreign_id(world, batch)
    before = everything(world, batch)
    unconditional = change(world, batch, third)
    del unconditional["if_match"]
    response = send(
        world, batch,
        create(world, batch),
        change(world, batch, first, '"7"'),
        delete(NEVER),
        delete(foreign, "*"),
        unconditional,
        {"op": "create", "value": {**create(world, batch)["value"], "id": NEVER}, "nonsense": 1},
        {"op": "upsert"},
        delete("no uuid"),
        7,
        delete(second),
        delete(second),
        change(world, batch, fourth, "*"),
    )  # fmt: skip
    assert problems(response) == [
        ("#/items/1", 412, "precondition-failed"),
        ("#/items/2", 404, "not-found"),
        ("#/items/3", 404, "not-found"),
        ("#/items/4", 428, "precondition-required"),
        ("#/items/5/value/id", 422, "validation-error"),
        ("#/items/5/nonsense", 422, "validation-error"),
        ("#/items/6/op", 422, "validation-error"),
        ("#/items/7/id", 422, "validation-error"),
        ("#/items/8", 422, "validation-error"),
        ("#/items/10/id", 422, "validation-error"),
    ]
    never, somebody_elses = response.json["errors"][1:3]
    assert never["detail"] == somebody_elses["detail"]
    assert everything(world, batch) == before


@every_batch
def test_batch_if_match_has_the_semantics_of_the_header(world: World, batch: Operation) -> None:
    for tag in ('"1"', 'W/"1"', '"7", "1"', "*", ' "1" '):
        old, doomed = made(world, batch, 2)
        send(world, batch, change(world, batch, old, tag), delete(doomed, tag), status=200)
    old, doomed = made(world, batch, 2)
    for tag in ('"7"', "1", '"1', "", 'W/"7"'):  # stale or malformed
        response = send(world, batch, change(world, batch, old, tag), delete(doomed, tag))
        assert [status for _, status, _ in problems(response)] == [412, 412], tag


@every_batch
def test_batch_without_items_or_with_more_than_a_hundred_is_422(
    world: World, batch: Operation
) -> None:
    by = world.writer(batch)
    for items in ([], "nothing", None, {}, [{"op": "create"}] * 101):
        refused = world.api.post(batch.rule, {"items": items}, by=by, status=422)
        assert refused.json["type"] == "/problems/validation-error"
        assert [place["pointer"] for place in refused.json["errors"]] == ["#/items"]


@every_batch
def test_batch_of_a_hundred_invalid_items_names_each_once(world: World, batch: Operation) -> None:
    bad = {"op": "create", "value": {"nonsense": 1, "more": 2}}
    places = problems(send(world, batch, *[bad] * 100))
    assert {pointer.split("/")[2] for pointer, _, _ in places} == {str(n) for n in range(100)}


@every_batch
def test_batch_retry_with_idempotency_key_replays_the_response(
    world: World, batch: Operation
) -> None:
    key = {"headers": {"Idempotency-Key": "key-1"}, "status": 200}
    (doomed,) = made(world, batch, 1)
    items = [create(world, batch), delete(doomed)]
    first = send(world, batch, *items, **key)
    before = everything(world, batch)
    again = send(world, batch, *items, **key)
    assert again.data == first.data
    assert again.headers["Idempotent-Replayed"] == "true"
    assert everything(world, batch) == before
    other = send(world, batch, create(world, batch), create(world, batch), **key | {"status": 422})
    assert other.json["type"] == "/problems/idempotency-key-reused"


@every_batch
def test_failed_batch_is_not_stored_for_replay(world: World, batch: Operation) -> None:
    key = {"headers": {"Idempotency-Key": "key-1"}}
    send(world, batch, delete(NEVER), status=422, **key)
    send(world, batch, create(world, batch), status=200, **key)


@every_batch
def test_batch_of_a_hundred_items_executes_few_statements(
    world: World, queries: Counter, batch: Operation
) -> None:
    old, single_create = made(world, batch, 100), single(batch, "POST")
    always = 1 + 2 + 1  # session check, savepoint and its release, audit events
    referred = len(set(single_create.references.values()))  # a check for each of these collections
    # A savepoint, the children of all, its release, and the rows with them; the old ones before.
    kinds = single_create.children
    children = 3 * kinds + (kinds > 0)
    again = int(kinds > 0)  # reads the rows, once they are locked
    for items, statements in (
        ([create(world, batch) for _ in range(100)], 1 + referred + children + batch.of_item),
        # Locks, changes.
        (
            [change(world, batch, item_id) for item_id in old],
            1 + 100 + referred + children + again + kinds,
        ),
        ([delete(item_id, "*") for item_id in old], 1 + 2 * again + 1),  # locks, deletes
    ):
        with queries() as sent:
            send(world, batch, *items, status=200)
        # On PostgreSQL the audit events are written by COPY, which is not counted here.
        assert len([s for s in sent if s != "BEGIN IMMEDIATE"]) <= always + statements, sent

"""Actions of every resource: conditional, repeatable and recorded under their own verb."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from werkzeug.test import TestResponse

from tests.contract.operations import ACTIONS, Operation, ids
from tests.contract.world import World

every_action = pytest.mark.parametrize("action", ACTIONS, ids=ids)
NEVER = "01890a5d-ac96-774b-bcce-b302099a8057"


def act(world: World, action: Operation, path: str, *, tag: str | None, **kwargs) -> TestResponse:
    headers = {**({"If-Match": tag} if tag else {}), **kwargs.pop("headers", {})}
    sent = {"by": world.writer(action), "json": world.body(action), **kwargs}
    return world.api.call("POST", path, headers=headers, **sent)


def item_of(path: str) -> str:
    return path.rpartition("/")[0]


def state(world: World, action: Operation, path: str) -> TestResponse:
    return world.api.get(item_of(path), by=world.writer(action), status=200)


def new_item(world: World, action: Operation) -> tuple[str, str]:
    """The path of the action on an item that takes it, and the version of the item."""
    path = world.path(action)
    return path, f'"{state(world, action, path).json["version"]}"'


# begin audit
def events(world: World, path: str) -> list[dict]:
    query = f"audit-events?resource_id={item_of(path).rpartition('/')[2]}"
    return world.api.get(query, by=world.admin, status=200).json["items"]


# end audit
@contextmanager
def unchanged(world: World, action: Operation, path: str) -> Iterator[None]:
    """The block neither changes the item nor records anything about it."""
    before = state(world, action, path).data
    # begin audit
    recorded = events(world, path)
    # end audit
    yield
    assert state(world, action, path).data == before
    # begin audit
    assert events(world, path) == recorded
    # end audit


@every_action
def test_action_returns_the_item_as_it_is_read_afterwards(world: World, action: Operation) -> None:
    path, tag = new_item(world, action)
    done = act(world, action, path, tag=tag, status=200)
    read = state(world, action, path)
    assert done.data == read.data
    assert done.headers["ETag"] == read.headers["ETag"]


# begin audit
@every_action
def test_action_is_recorded_under_its_own_verb(world: World, action: Operation) -> None:
    path, tag = new_item(world, action)
    act(world, action, path, tag=tag, status=200)
    event, *_ = events(world, path)
    assert event["action"] not in ("create", "update", "delete")
    assert event["actor_id"] == str(world.writer(action).id)


# end audit
@every_action
def test_action_without_if_match_is_428_and_changes_nothing(
    world: World, action: Operation
) -> None:
    path = world.path(action)
    with unchanged(world, action, path):
        act(world, action, path, tag=None, status=428)


@every_action
def test_action_on_another_version_is_412_and_changes_nothing(
    world: World, action: Operation
) -> None:
    path = world.path(action)
    with unchanged(world, action, path):
        for tag in ('"77"', '"other"', "1", '""'):
            act(world, action, path, tag=tag, status=412)


@every_action
def test_action_on_a_missing_item_is_404_before_412(world: World, action: Operation) -> None:
    item, _, verb = world.path(action).rpartition("/")
    act(world, action, f"{item.rpartition('/')[0]}/{NEVER}/{verb}", tag='"7"', status=404)


@every_action
def test_second_action_on_the_same_version_is_412_before_409(
    world: World, action: Operation
) -> None:
    path, tag = new_item(world, action)
    if f'"{act(world, action, path, tag=tag, status=200).json["version"]}"' == tag:
        pytest.skip("changes nothing")
    act(world, action, path, tag=tag, status=412)


@every_action
def test_action_with_a_repeated_idempotency_key_has_one_effect(
    world: World, action: Operation
) -> None:
    (path, tag), body = new_item(world, action), world.body(action)
    sent = {"tag": tag, "json": body, "headers": {"Idempotency-Key": "key-1"}}
    first = act(world, action, path, **sent, status=200)
    with unchanged(world, action, path):
        again = act(world, action, path, **sent, status=200)
    assert (again.data, again.headers["ETag"]) == (first.data, first.headers["ETag"])
    assert again.headers["Idempotent-Replayed"] == "true"


@every_action
def test_refused_action_is_not_stored_for_replay(world: World, action: Operation) -> None:
    (path, tag), key = new_item(world, action), {"Idempotency-Key": "key-1"}
    act(world, action, path, tag='"77"', headers=key, status=412)
    act(world, action, path, tag=tag, headers=key, status=200)


@every_action
def test_stored_response_of_an_action_is_not_returned_to_an_ended_session(
    world: World, action: Operation
) -> None:
    (path, tag), key = new_item(world, action), {"Idempotency-Key": "key-1"}
    by = world.api.sign_in(world.writer(action))
    act(world, action, path, by=by, tag=tag, headers=key, status=200)
    world.api.post("auth/logout", by=by, status=204)
    act(world, action, path, by=by, tag=tag, headers=key, status=401)
    act(world, action, path, by=by, tag="*", status=401)

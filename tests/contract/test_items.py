"""Items of every resource: create, read, update and delete, without lost updates."""

import re
from itertools import product

import pytest

from tests.contract.operations import CREATES, ITEMS, OPERATIONS, Operation, ids
from tests.contract.world import World

READS = [o for o in ITEMS if o.method == "GET"]
PATCHES = [o for o in ITEMS if o.method == "PATCH"]
DELETES = [o for o in ITEMS if o.method == "DELETE"]
CHANGES = PATCHES + DELETES


def by(world: World, operation: Operation):
    return world.writer(operation)


@pytest.mark.parametrize("create", CREATES, ids=ids)
def test_create_is_201_and_location_returns_the_same_body(world: World, create: Operation) -> None:
    created = world.call(create, by(world, create))
    assert created.status_code == 201
    read = world.api.get(
        created.headers["Location"],
        by=world.admin if "users" in create.rule else by(world, create),
        status=200,
    )
    if "secret" in created.json:  # shown only in this response, and the URI that contains it
        shown = {k: created.json[k] for k in ("secret", "otpauth_uri") if k in created.json}
        assert created.json == {**read.json, **shown}
    else:
        assert read.data == created.data
    assert read.headers["ETag"] == created.headers["ETag"]
    assert version_of(read) == 1


@pytest.mark.parametrize("read", READS, ids=ids)
def test_get_item_with_matching_if_none_match_is_304(
    world: World, read: Operation, subtests: pytest.Subtests
) -> None:
    path, who = world.item(read), by(world, read)
    first = world.api.get(path, by=who, status=200)
    for form in ("{}", "W/{}", '"other", {}', "*"):
        with subtests.test(form=form):
            headers = {"If-None-Match": form.format(first.headers["ETag"])}
            again = world.api.get(path, by=who, headers=headers, status=304)
            assert again.data == b""
            for name in ("ETag", "Cache-Control", "Vary"):
                assert again.headers[name] == first.headers[name]
    world.api.get(path, by=who, headers={"If-None-Match": '"0", "2"'}, status=200)


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_change_without_if_match_is_428_and_changes_nothing(
    world: World, change: Operation
) -> None:
    path = world.item(change)
    before = state(world, change, path)
    response = world.api.call(change.method, path, by=by(world, change), json=world.body(change))
    assert response.status_code == 428
    assert state(world, change, path) == before


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_if_match_beyond_the_documented_length_is_400(world: World, change: Operation) -> None:
    path, body, who = world.item(change), world.body(change), by(world, change)
    for length, status in ((8000, 412), (8001, 400)):
        headers = {"If-Match": "1" * length}
        world.api.call(change.method, path, by=who, json=body, headers=headers, status=status)


@pytest.mark.parametrize("read", READS, ids=ids)
def test_if_none_match_beyond_the_documented_length_is_400(world: World, read: Operation) -> None:
    path = world.item(read)
    for length, status in ((8000, 200), (8001, 400)):
        headers = {"If-None-Match": "1" * length}
        world.api.get(path, by=by(world, read), headers=headers, status=status)


STALE = ('"7"', '"other"', "1", '"999999999999999999"', '"1', '""', 'W/"7"', '"7", "8"')
CURRENT = ('"1"', 'W/"1"', '"7", "1"', "*", '"1",', ',, W/"7" ,\t"1" , ,', " * ")
CURRENT += ('"a,b", "\xe9","1"',)


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_change_with_stale_or_malformed_if_match_is_412_and_changes_nothing(
    world: World, change: Operation, subtests: pytest.Subtests
) -> None:
    path = world.item(change)
    before = state(world, change, path)
    for tag in STALE:
        with subtests.test(tag=tag):
            call(world, change, path, tag, status=412)
            assert state(world, change, path) == before


@pytest.mark.parametrize("patch", PATCHES, ids=ids)
def test_patch_of_the_current_version_returns_the_next_version(
    world: World, patch: Operation, subtests: pytest.Subtests
) -> None:
    for tag in CURRENT:
        with subtests.test(tag=tag):
            fresh = World(world.api.app)
            path = fresh.item(patch)
            changed = call(fresh, patch, path, tag, status=200)
            assert version_of(changed) == 2
            assert changed.json["version"] == 2
            assert changed.data == state(fresh, patch, path)


@pytest.mark.parametrize("patch", PATCHES, ids=ids)
def test_second_patch_of_the_same_version_is_412(world: World, patch: Operation) -> None:
    path = world.item(patch)
    call(world, patch, path, '"1"', status=200)
    call(world, patch, path, '"1"', status=412)


@pytest.mark.parametrize("patch", PATCHES, ids=ids)
def test_empty_patch_changes_nothing(world: World, patch: Operation) -> None:
    path = world.item(patch)
    before = state(world, patch, path)
    kwargs = {"by": by(world, patch), "json": {}}
    same = world.api.call("PATCH", path, headers={"If-Match": '"1"'}, status=200, **kwargs)
    assert same.data == before
    assert version_of(same) == 1
    read = world.api.get(path, by=by(world, patch), status=200)
    assert (read.data, read.headers["ETag"]) == (before, same.headers["ETag"])
    world.api.call("PATCH", path, headers={"If-Match": '"7"'}, status=412, **kwargs)


@pytest.mark.parametrize("write", [o for o in CREATES + PATCHES if o.body], ids=ids)
def test_read_only_or_unknown_member_is_422_and_names_it(
    world: World, write: Operation, subtests: pytest.Subtests
) -> None:
    path, body, kwargs = world.path(write), world.body(write), {"headers": {"If-Match": "*"}}
    kwargs |= {"by": by(world, write), "status": 422}
    for name in ("id", "version", "created_at", "owner_id", "nonsense"):
        with subtests.test(name=name):
            refused = world.api.call(write.method, path, json={**body, name: "1"}, **kwargs)
            assert [place["pointer"] for place in refused.json["errors"]] == [f"#/{name}"]


@pytest.mark.parametrize("delete", DELETES, ids=ids)
def test_delete_is_204_and_second_delete_is_404(world: World, delete: Operation) -> None:
    path = world.item(delete)
    gone = call(world, delete, path, '"1"', status=204)
    assert gone.data == b""
    assert "Content-Type" not in gone.headers
    assert "Content-Length" not in gone.headers
    call(world, delete, path, "*", status=404)


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_change_of_missing_item_is_404_before_412(world: World, change: Operation) -> None:
    never = change.collection + "/01890a5d-ac96-774b-bcce-b302099a8057"
    call(world, change, never, '"7"', status=404)


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_change_without_credentials_is_401_before_412(world: World, change: Operation) -> None:
    world.api.call(
        change.method, world.item(change), json=world.body(change),
        headers={"If-Match": '"7"'}, status=401,
    )  # fmt: skip


@pytest.mark.parametrize("operation", ITEMS, ids=ids)
def test_item_id_that_is_not_a_uuid_is_404(world: World, operation: Operation) -> None:
    for wrong in ("1", "abc", "01890a5d-ac96-774b-bcce", "9" * 40):
        response = world.call(operation, world.admin, path=f"{operation.collection}/{wrong}")
        assert response.status_code == 404, wrong


def call(world: World, change: Operation, path: str, tag: str, status: int):
    return world.api.call(
        change.method,
        path,
        by=by(world, change),
        json=world.body(change),
        headers={"If-Match": tag},
        status=status,
    )


def version_of(response) -> int:
    """The version in an entity tag, which a digest of read-only members may follow."""
    tag = re.fullmatch(r'"([1-9]\d*)(-[0-9a-f]{8})?"', response.headers["ETag"])
    assert tag
    return int(tag[1])


def state(world: World, operation: Operation, path: str) -> bytes:
    return world.api.get(path, by=by(world, operation), status=200).data


# begin audit
@pytest.mark.parametrize("remove", DELETES, ids=ids)
def test_audit_event_of_deletion_has_the_item_as_it_was_read(
    world: World, remove: Operation
) -> None:
    path = world.item(remove)
    was = world.api.get(path, by=by(world, remove), status=200).json
    call(world, remove, path, "*", status=204)
    query = f"audit-events?limit=1&resource_id={was['id']}"
    [event] = world.api.get(query, by=world.admin, status=200).json["items"]
    assert event["action"] == "delete"
    assert event["before"] == was


# end audit
@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_change_is_412_where_if_none_match_has_the_current_version(
    world: World, change: Operation
) -> None:
    path = world.item(change)
    before = state(world, change, path)
    tags = ('"1"', 'W/"1"', '"7","1",', "*", ', "1"')
    for if_match, tag in product(("*", '"1"', '"1", "2"'), tags):
        headers = {"If-Match": if_match, "If-None-Match": tag}
        refused = world.call(change, by(world, change), path, headers)
        assert refused.status_code == 412, headers
        assert state(world, change, path) == before
    never = change.collection + "/01890a5d-ac96-774b-bcce-b302099a8057"
    missing = world.call(change, by(world, change), never, {"If-None-Match": "*"})
    assert missing.status_code == 404


@pytest.mark.parametrize("change", CHANGES, ids=ids)
def test_change_succeeds_where_if_none_match_has_other_versions(
    world: World, change: Operation
) -> None:
    for if_match, other in product(("*", '"1"'), ('"7", "1x"', "nonsense")):
        fresh, headers = World(world.api.app), {"If-Match": if_match, "If-None-Match": other}
        changed = fresh.call(change, by(fresh, change), fresh.item(change), headers)
        assert changed.status_code in (200, 204), headers


READ_ANY = [o for o in OPERATIONS if o.method == "GET" and o.media_types]


@pytest.mark.parametrize("read", READ_ANY, ids=ids)
def test_read_is_412_where_if_match_does_not_have_its_entity_tag(
    world: World, read: Operation
) -> None:
    path, who = world.path(read), by(world, read)
    tag = world.api.get(path, by=who, status=200).headers.get("ETag")
    for condition in ('"other"', f'"x{(tag or "").strip(chr(34))}"', "", "nonsense"):
        world.api.get(path, by=who, headers={"If-Match": condition}, status=412)
    world.api.get(path, by=who, headers={"If-Match": "*"}, status=200)
    if tag:
        for condition in (tag, f'"other", W/{tag},'):
            headers = {"If-Match": condition}
            world.api.get(path, by=who, headers=headers, status=200)
            world.api.call("HEAD", path, by=who, headers=headers, status=200)
            world.api.get(path, by=who, headers=headers | {"If-None-Match": tag}, status=304)
        both = {"If-Match": '"other"', "If-None-Match": tag}
        world.api.get(path, by=who, headers=both, status=412)


@pytest.mark.parametrize("operation", [o for o in ITEMS if o.rule.count("<") > 1], ids=ids)
def test_item_is_not_below_another_parent(world: World, operation: Operation) -> None:
    path = world.item(operation)
    parent = next(o for o in ITEMS if operation.rule.startswith(f"{o.rule}/"))
    elsewhere = world.item(parent) + path[len(world.fill(parent.rule)) :]
    assert world.call(operation, world.writer(operation), path=elsewhere).status_code == 404
    assert world.call(operation, world.writer(operation), path=path).status_code < 300

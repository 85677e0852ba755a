"""The number of SQL statements of a request."""

import pytest

from tests.api import PASSWORD, Api, Caller
from tests.conftest import Counter
from tests.contract.operations import COLLECTIONS, CREATES, ITEMS, Operation, World, ids

READS = [o for o in ITEMS if o.method == "GET"]
CHANGES = [o for o in ITEMS if o.method in ("PATCH", "DELETE")]


@pytest.mark.parametrize("read", READS + COLLECTIONS, ids=ids)
def test_read_executes_one_statement(world: World, queries: Counter, read: Operation) -> None:
    item = world.item(read if read.by_id else next(i for i in ITEMS if i.collection == read.rule))
    path = item if read.by_id else item.rpartition("/")[0]
    with queries() as sent:
        world.api.get(path, by=world.writer(read), status=200)
    assert len(sent) == 1, sent


@pytest.mark.parametrize("read", READS, ids=ids)
def test_304_executes_one_statement(world: World, queries: Counter, read: Operation) -> None:
    path = world.path(read)
    etag = world.api.get(path, by=world.writer(read), status=200).headers["ETag"]
    with queries() as sent:
        headers = {"If-None-Match": etag}
        world.api.get(path, by=world.writer(read), headers=headers, status=304)
    assert len(sent) == 1, sent


def keeps_file(operation: Operation) -> bool:
    """Whether the rows are created from files."""
    return any(create.file and create.rule == operation.collection for create in CREATES)


@pytest.mark.parametrize("write", CREATES + CHANGES, ids=ids)
def test_write_executes_the_expected_number_of_statements(
    world: World, queries: Counter, write: Operation
) -> None:
    path, by = world.path(write), world.writer(write)
    world.body(write, by)  # creates what it refers to
    with queries() as sent:
        response = world.call(write, world.writer(write), path=path)
    assert response.status_code in (200, 201, 204)
    costs = {"writes": 1, "checks references": len(set(write.references.values()))}
    costs["queues a mail"] = write.endpoint == "users.register"
    costs["locks user and session"] = 2 * (write.endpoint == "auth.create_api_key")
    costs["queues the erasure of audit values"] = write.endpoint == "users.delete_user"
    costs["ensures another admin"] = write.endpoint in ("users.update_user", "users.delete_user")
    on_sqlite = world.api.app.config["DATABASE_URL"].startswith("sqlite")
    # Otherwise these are part of the statement that writes.
    has_children = any(c.has_children for c in CREATES if c.rule == write.collection)
    further = {
        name: cost for name, cost in costs.items() if name not in ("writes", "checks references")
    }
    in_transaction = on_sqlite or has_children or any(further.values())
    costs["is audited"] = in_transaction
    costs["stores a file and its only chunk"] = 2 * bool(write.file)
    costs["deletes a file"] = on_sqlite and write.method == "DELETE" and keeps_file(write)
    needs_session = not write.access.skip_authentication
    costs["checks the session"] = needs_session and (in_transaction or bool(write.file))
    costs["reads the row"] = in_transaction and write.method != "POST"
    if has_children:
        # A savepoint, the old children, the new ones, its release, and the row with them.
        costs["writes the children"] = 5 if write.body else 0
        costs["reads the row again"] = write.method != "POST"  # once it is locked
        costs["reads the children before they are deleted"] = write.method == "DELETE"
    assert len([s for s in sent if s != "BEGIN IMMEDIATE"]) == sum(costs.values()), sent


@pytest.mark.parametrize("write", CREATES + CHANGES, ids=ids)
def test_write_to_unknown_path_executes_no_statement(
    world: World, queries: Counter, write: Operation
) -> None:
    path, by = world.path(write), None if not write.access.anonymous else world.owner
    world.body(write, by)  # creates what it refers to
    with queries() as sent:
        world.call(write, by, path=path + "/no")
    assert sent == []


def test_login_executes_the_expected_number_of_statements(
    api: Api, queries: Counter, user: Caller
) -> None:
    with queries() as sent:
        api.post("auth/login", {"email": user.email, "password": PASSWORD}, status=200)
    costs = {"locks the counters": 1, "counts": 1, "reads the user": 1, "creates a session": 1}
    on_sqlite = api.app.config["DATABASE_URL"].startswith("sqlite")
    costs["resets the counters"] = costs["is audited"] = on_sqlite  # otherwise in the insert
    assert len([s for s in sent if s != "BEGIN IMMEDIATE"]) == sum(costs.values()), sent

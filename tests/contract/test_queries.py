"""The number of SQL statements of a request, as `docs/resources.md` lists them."""

from typing import Any

import pytest

from app.auth.second_factors import second_factor_due
from tests.conftest import Counter
from tests.contract.operations import BATCHES, CREATES, ITEMS, OPERATIONS, Operation, ids
from tests.contract.world import World

READS = [o for o in OPERATIONS if o.kind in ("returns", "paginated")]
# Their requests need a secret from an earlier response or mail, or a provider; the features of
# these routes have their own tests.
EXCHANGES = (
    "auth.log_in",
    "auth.log_in_with_cookies",
    "auth.refresh",
    "auth.refresh_cookies",
    "auth.verify_email",
    "auth.confirm_email_change",
    "auth.reset_password",
    # begin oidc
    "oidc.start_login",
    "oidc.finish_login",
    "oidc.start_link",
    "oidc.start_native_link",
    "oidc.finish_native_link",
    # end oidc
)
COUNTED = [
    o
    for o in OPERATIONS
    if o.endpoint not in EXCHANGES
    and o not in BATCHES
    # begin mfa
    # Proofs of second factors, which no example can contain.
    and not (o.rule.startswith("/api/v1/auth/mfa/") and o.kind == "response")
    # end mfa
]


def path_of(world: World, operation: Operation) -> str:
    """The path to call, of a list that is not empty if rows can be created."""
    item = next((i for i in ITEMS if i.collection == operation.rule), None)
    if operation.kind != "paginated" or item is None:
        return world.path(operation)
    return world.item(item).rpartition("/")[0]


def kinds_of_children(operation: Operation) -> int:
    """How many kinds of child rows the rows that it reads or writes have."""
    created = (c.children for c in CREATES if c.rule == operation.collection)
    return max(operation.children, operation.row_children, *created)


def statements_of_kind(operation: Operation, on_sqlite: bool, response: Any) -> dict[str, int]:
    """How often each statement of the response decorator is executed."""
    kind, is_list = operation.kind, operation.kind == "paginated"
    writes = kind in ("creates", "updates", "deletes", "action")
    children = kinds_of_children(operation)
    with_children = writes and children > 0
    merges = kind == "updates" and any(isinstance(v, dict) for v in (operation.body or {}).values())
    # Otherwise a write is one statement, together with its audit event and the session check.
    in_transaction = writes and (
        on_sqlite or with_children or merges or kind == "action" or operation.queries > 0
    )
    checks = in_transaction or bool(operation.file) or kind in ("exports", "response")
    checks = checks or operation.access.needs_recent_login
    is_changed = kind != "action" or response.json["version"] > 1
    is_empty = is_list and not response.json["items"]
    keeps_file = any(c.file and c.rule == operation.collection for c in CREATES)
    return {
        "reads or writes": kind != "response" and is_changed,
        "checks the session": checks and not operation.access.skip_authentication,
        "locks the row": in_transaction and kind != "creates",
        "locks the row before its children": with_children and kind != "creates",
        "reads what it deletes, whose computed members read other tables": (
            in_transaction
            and kind == "deletes"
            and not with_children
            and any(c.has_computed for c in CREATES if c.rule == operation.collection)
        ),
        "is audited": in_transaction,
        "checks references": len(set(operation.references.values())),
        "inserts children, in a savepoint": 3 * operation.children * writes,
        "deletes the old children": operation.children * (kind == "updates"),
        "reads the children": with_children and kind in ("creates", "updates", "deletes"),
        "stores a file and its only chunk": 2 * bool(operation.file),
        "deletes a file": on_sqlite and kind == "deletes" and keeps_file,
        "reads the only chunk of a file": kind == "returns_file",
        "checks session and parent of an empty list": is_empty + (is_empty and operation.of_item),
        "checks the parent of an export": kind == "exports" and operation.of_item,
    }


@pytest.mark.parametrize("operation", COUNTED, ids=ids)
def test_request_executes_the_declared_number_of_statements(
    world: World, queries: Counter, operation: Operation
) -> None:
    path, by = path_of(world, operation), world.writer(operation)
    world.body(operation, by)  # creates what it refers to
    # Without the statements of features that listen to a login.
    with second_factor_due.muted(), queries() as sent:
        response = world.call(operation, by, path=path)
    assert response.status_code < 300
    on_sqlite = world.api.app.config["DATABASE_URL"].startswith("sqlite")
    expected = statements_of_kind(operation, on_sqlite, response)
    expected["are those of the view"] = operation.queries
    executed = len([s for s in sent if s != "BEGIN IMMEDIATE"])
    assert executed <= sum(expected.values()), sent
    # begin audit jobs
    assert executed == sum(expected.values()), sent  # with those for audit events and jobs
    # end audit jobs


@pytest.mark.parametrize("read", READS, ids=ids)
def test_304_executes_one_statement(world: World, queries: Counter, read: Operation) -> None:
    path, by = path_of(world, read), world.writer(read)
    response = world.api.get(path, by=by, status=200)
    if response.json.get("items") == []:
        pytest.skip("no rows can be created")
    headers = {"If-None-Match": response.headers["ETag"]}
    with queries() as sent:
        world.api.get(path, by=by, headers=headers, status=304)
    assert len(sent) == 1, sent


@pytest.mark.parametrize(
    "write", [o for o in COUNTED if o.method != "GET" and not o.queries], ids=ids
)
def test_write_to_unknown_path_executes_no_statement(
    world: World, queries: Counter, write: Operation
) -> None:
    path, by = world.path(write), None if not write.access.anonymous else world.owner
    world.body(write, by)  # creates what it refers to
    with queries() as sent:
        world.call(write, by, path=path + "/no")
    assert sent == []

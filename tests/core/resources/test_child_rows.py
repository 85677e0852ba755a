"""Child rows are written, read and audited with their parent."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from app.core.openapi.operation import DeclarationError
from app.core.resources.child_rows import Rows
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import MakeApp, statements
from tests.core.resources.orders import Order, OrderItem, OrderItemSchema, OwnBase, orders
from tests.features import own_tables

ITEMS = [
    {
        "name": "b",
        "quantity": 2,
        "price": "12.50",
        "currency": "EUR",
        "due_at": "2030-01-01T01:00:00.12+01:00",
        "is_gift": True,
        "data": {"a": [1, None]},
    },
    {"name": "a", "price": "99999999999.125", "currency": "KWD"},
    {"name": 'ä"\\\n🔑', "price": "1250", "currency": "JPY", "due_at": "1999-12-31T23:59:59Z"},
]


@pytest.fixture
def shop(make_app: MakeApp) -> Iterator[Api]:
    """An application with orders."""
    app = make_app(orders)
    with own_tables(app, OwnBase.metadata):
        yield Api(app)


def create(shop: Api, by: Caller, items: Any = ITEMS, **members: Any) -> str:
    body = {"title": "O", "items": items, **members}
    return str(shop.post("orders", body, by=by, status=201).headers["Location"])


def names(order: Any) -> list[str]:
    return [item["name"] for item in order["items"]]


def test_children_are_returned_in_order_wherever_the_row_is(shop: Api, user: Caller) -> None:
    created = shop.post("orders", {"title": "O", "items": ITEMS}, by=user, status=201)
    assert names(created.json) == [item["name"] for item in ITEMS]
    path = created.headers["Location"]
    read = shop.get(path, by=user, status=200)
    assert read.data == created.data
    page = shop.get("orders", by=user, status=200).json
    assert page["items"] == [created.json]
    ndjson = {"Accept": "application/x-ndjson"}
    assert json.loads(shop.get("orders/export", by=user, headers=ndjson).data) == created.json
    as_csv = shop.get("orders/export", by=user, headers={"Accept": "text/csv"}, status=200).text
    assert '"[{""id"":""' in as_csv
    items = {"items": [{"op": "create", "value": {"title": "O", "items": ITEMS}}]}
    done = shop.post("orders/batch", items, by=user, status=200).json["items"][0]["value"]
    assert names(done) == names(created.json)
    assert create(shop, user, items=[])
    assert shop.post("orders", {"title": "O"}, by=user, status=201).json["items"] == []


@pytest.mark.parametrize("item", ITEMS)
def test_values_of_a_child_are_written_as_those_of_its_parent(
    shop: Api, user: Caller, item: dict[str, Any]
) -> None:
    same = {name: item.get(name) for name in ("price", "currency", "due_at")}
    path = create(shop, user, items=[item], **same)
    order = shop.get(path, by=user).json
    assert {name: order["items"][0][name] for name in same} == {name: order[name] for name in same}
    assert order["items"][0]["is_gift"] is item.get("is_gift", False)
    assert order["items"][0]["data"] == item.get("data")
    assert order["items"][0]["quantity"] == item.get("quantity", 1)
    assert str(UUID(order["items"][0]["id"])) == order["items"][0]["id"]


def test_patch_replaces_the_list_and_raises_the_version(shop: Api, user: Caller) -> None:
    path = create(shop, user)
    etag = shop.get(path, by=user).headers["ETag"]
    changed = shop.patch(path, {"items": [{"name": "new"}]}, by=user, etag=etag, status=200)
    assert names(changed.json) == ["new"]
    assert changed.json["version"] == 2
    shop.patch(path, {"items": []}, by=user, etag=etag, status=412)
    assert shop.get(path, by=user).data == changed.data
    assert rows.count(shop.app, OrderItem) == 1
    other = shop.patch(path, {"title": "P"}, by=user, status=200)
    assert names(other.json) == ["new"]
    assert shop.patch(path, {"items": []}, by=user, status=200).json["items"] == []


REFUSED = [
    ({"quantity": 9}, 422, "quantity"),
    ({"name": "x"}, 409, "name"),
    ({"quantity": "9"}, 422, "quantity"),
    ({"before_id": str(uuid4())}, 422, "before_id"),
]


@pytest.mark.parametrize(("wrong", "status", "member"), REFUSED)
def test_child_that_is_refused_is_named_and_nothing_is_written(
    shop: Api, user: Caller, wrong: dict[str, Any], status: int, member: str
) -> None:
    path = create(shop, user)
    before = shop.get(path, by=user).data
    items = [{"name": "x"}, {"name": "y", "quantity": 5}, {"name": "z"} | wrong]
    place = f"#/items/2/{member}"
    body = {"title": "O", "items": items}
    for key in ({}, {"Idempotency-Key": "k-1"}):
        refused = shop.post("orders", body, by=user, headers=key, status=status)
        assert error_locations(refused) == {place}
    assert error_locations(shop.patch(path, {"items": items}, by=user, status=status)) == {place}
    batch = {"items": [{"op": "create", "value": body}]}
    failed = shop.post("orders/batch", batch, by=user, status=422)
    assert error_locations(failed) == {place.replace("#", "#/items/0/value")}
    assert shop.get(path, by=user).data == before
    assert rows.count(shop.app, Order) == 1


def test_too_many_children_are_422(shop: Api, user: Caller) -> None:
    items = [{"name": str(n)} for n in range(11)]
    refused = shop.post("orders", {"title": "O", "items": items}, by=user, status=422)
    assert error_locations(refused) == {"#/items"}


# begin audit
def test_audit_events_include_the_children(shop: Api, user: Caller, admin: Caller) -> None:
    path = create(shop, user)
    created = shop.get(path, by=user).json
    changed = shop.patch(path, {"items": [{"name": "new"}]}, by=user).json
    shop.delete(path, by=user, status=204)
    query = f"audit-events?resource_id={created['id']}&sort=created_at"
    events = shop.get(query, by=admin, status=200).json["items"]
    assert [event["action"] for event in events] == ["create", "update", "delete"]
    assert events[0]["after"] == created
    assert events[1]["before"] == {"items": created["items"]}
    assert events[1]["after"] == {"items": changed["items"]}
    assert events[2]["before"] == changed
    assert rows.count(shop.app, OrderItem) == 0


# end audit
def test_batch_changes_and_deletes_children(shop: Api, user: Caller) -> None:
    first, second = (create(shop, user).rpartition("/")[2] for _ in range(2))
    items = [
        {"op": "update", "id": first, "if_match": "*", "value": {"items": [{"name": "n"}]}},
        {"op": "delete", "id": second, "if_match": "*"},
    ]
    done = shop.post("orders/batch", {"items": items}, by=user, status=200).json["items"]
    assert names(done[0]["value"]) == ["n"]
    assert rows.count(shop.app, OrderItem) == 1


def test_item_and_list_are_one_statement(shop: Api, user: Caller) -> None:
    path = create(shop, user)
    for url in (path, "orders"):
        etag = shop.get(url, by=user, status=200).headers["ETag"]
        with statements(shop.app) as sent:
            shop.get(url, by=user, status=200)
            shop.get(url, by=user, headers={"If-None-Match": etag}, status=304)
        assert len(sent) == 2, sent


def test_parallel_replacements_leave_one_list(shop: Api, user: Caller) -> None:
    path = create(shop, user)

    def patch(name: str) -> Any:
        items = [{"name": f"{name}{n}"} for n in range(3)]
        return lambda: shop.patch(path, {"items": items}, by=user)

    answers = rows.blocked_by_lock(shop.app, select(Order), patch("p"), patch("q"))
    assert [answer.status_code for answer in answers] == [200, 200]
    last = max(answers, key=lambda answer: answer.json["version"])
    assert shop.get(path, by=user).data == last.data


def test_child_rows_without_a_position_are_refused() -> None:
    with pytest.raises(DeclarationError, match="Order: child rows need a column 'position'"):
        Rows(OrderItemSchema, Order.owner_id, max_length=1)

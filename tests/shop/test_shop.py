"""What is particular to the shop; the rest is in the generated tests."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests import rows
from tests.api import Api, Caller, error_locations

ACTIONS = {"pay": "paid", "cancel": "cancelled"}


@pytest.fixture
def product(api: Api, editor: Caller) -> str:
    """The id of a product."""
    body = {"sku": "pot", "name": "Pot", "category": "kitchen", "price": "12.50", "currency": "EUR"}
    return str(api.post("products", body, by=editor, status=201).json["id"])


@pytest.fixture
def customer(api: Api, user: Caller) -> str:
    """The id of a customer."""
    body = {"name": "Ada", "email": "ada@example.com"}
    return str(api.post("customers", body, by=user, status=201).json["id"])


@pytest.fixture
def order(api: Api, user: Caller, customer: str, product: str) -> str:
    """The path of an order of two pots."""
    body = {"customer_id": customer, "currency": "EUR", "items": [line(product, 2)]}
    return str(api.post("orders", body, by=user, status=201).headers["Location"])


def line(product: str, quantity: int) -> dict[str, Any]:
    return {"product_id": product, "quantity": quantity, "price": 1250}


def act(api: Api, order: str, action: str, by: Caller, status: int) -> TestResponse:
    headers = {"If-Match": "*"}
    return api.post(f"{order}/{action}", by=by, headers=headers, status=status)


@pytest.mark.parametrize("action", ACTIONS)
def test_open_order_is_paid_or_cancelled(api: Api, user: Caller, order: str, action: str) -> None:
    done = act(api, order, action, user, status=200)
    assert done.json["state"] == ACTIONS[action]
    assert (done.json["paid_at"] is not None) == (action == "pay")
    assert done.data == api.get(order, by=user, status=200).data
    assert done.json["version"] == 2


@pytest.mark.parametrize("first", ACTIONS)
@pytest.mark.parametrize("second", ACTIONS)
def test_order_that_is_not_open_is_neither_paid_nor_cancelled(
    api: Api, user: Caller, order: str, first: str, second: str
) -> None:
    before = act(api, order, first, user, status=200)
    refused = act(api, order, second, user, status=409)
    assert refused.json["detail"] == f"The order is {ACTIONS[first]}."
    assert api.get(order, by=user, status=200).data == before.data


def test_parallel_payment_and_cancellation_have_one_effect(
    api: Api, user: Caller, order: str
) -> None:
    def call(action: str) -> rows.Call:
        headers = {"If-Match": "*"}
        return lambda: api.post(f"{order}/{action}", by=user, headers=headers)

    answers = rows.in_parallel(call("pay"), call("cancel"), call("pay"))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


def test_order_that_is_not_open_is_neither_changed_nor_deleted(
    api: Api, user: Caller, order: str
) -> None:
    act(api, order, "pay", user, status=200)
    before = api.get(order, by=user, status=200)
    api.patch(order, {"items": []}, by=user, status=403)
    api.delete(order, by=user, status=403)
    assert api.get(order, by=user, status=200).data == before.data


def test_total_follows_the_items(api: Api, user: Caller, order: str, product: str) -> None:
    before = api.get(order, by=user, status=200)
    empty = {"customer_id": before.json["customer_id"], "currency": "EUR"}
    assert api.post("orders", empty, by=user, status=201).json["total"] == 0
    assert before.json["total"] == 2500
    body = {"items": [line(product, 2), line(product, 1)]}
    changed = api.patch(order, body, by=user, status=200)
    assert changed.json["total"] == 3750
    assert changed.headers["ETag"] != before.headers["ETag"]
    page = api.get("orders", by=user, status=200).json["items"]
    assert [each["total"] for each in page] == [0, 3750]


def test_error_of_an_item_names_the_item(
    api: Api, user: Caller, order: str, customer: str, product: str
) -> None:
    never = "01890a5d-ac96-774b-bcce-b302099a8057"
    items = [line(product, 2), line(product, 0)]
    body = {"customer_id": customer, "currency": "EUR", "items": items}
    refused = api.post("orders", body, by=user, status=422)
    assert error_locations(refused) == {"#/items/1/quantity"}
    refused = api.patch(order, {"items": items}, by=user, status=422)
    assert error_locations(refused) == {"#/items/1/quantity"}
    refused = api.patch(order, {"items": [line(product, 1), line(never, 1)]}, by=user, status=422)
    assert error_locations(refused) == {"#/items/1/product_id"}


def test_customer_of_another_user_cannot_be_referred_to(
    api: Api, other: Caller, customer: str, product: str
) -> None:
    body = {"customer_id": customer, "currency": "EUR", "items": [line(product, 1)]}
    refused = api.post("orders", body, by=other, status=422)
    assert error_locations(refused) == {"#/customer_id"}


def test_customer_with_orders_and_ordered_product_are_not_deleted(
    api: Api, user: Caller, editor: Caller, order: str, customer: str, product: str
) -> None:
    assert "orders" in api.delete(f"customers/{customer}", by=user, status=409).json["detail"]
    api.delete(f"products/{product}", by=editor, status=409)
    api.delete(order, by=user, status=204)
    api.delete(f"customers/{customer}", by=user, status=204)
    api.delete(f"products/{product}", by=editor, status=204)


def test_address_of_a_customer_is_unique_for_each_user(
    api: Api, user: Caller, other: Caller, customer: str
) -> None:
    body = {"name": "Ada", "email": "ada@example.com"}
    refused = api.post("customers", body, by=user, status=409)
    assert error_locations(refused) == {"#/email"}
    api.post("customers", body, by=other, status=201)


def test_rating_is_the_average_of_the_reviews(
    api: Api, user: Caller, other: Caller, product: str
) -> None:
    path = f"products/{product}/rating"
    before = api.get(path, by=user, status=200)
    assert (before.json["average"], before.json["review_count"]) == (None, 0)
    for by, rating in ((user, 3), (other, 4), (other, 4)):
        api.post(f"products/{product}/reviews", {"rating": rating}, by=by, status=201)
    after = api.get(path, by=user, headers={"If-None-Match": before.headers["ETag"]}, status=200)
    assert (after.json["average"], after.json["review_count"]) == ("3.6667", 3)
    assert after.json["version"] == before.json["version"]


def test_review_is_read_by_all_users_and_changed_by_its_author(
    api: Api, user: Caller, other: Caller, admin: Caller, product: str
) -> None:
    path = f"products/{product}/reviews"
    review = api.post(path, {"rating": 3}, by=user, status=201).headers["Location"]
    for by in (other, admin):
        assert api.get(review, by=by, status=200).json["author_id"] == str(user.id)
        api.patch(review, {"rating": 5}, by=by, status=403)
    assert api.patch(review, {"rating": 5}, by=user, status=200).json["rating"] == 5


def test_hidden_product_has_no_reviews_for_users(
    api: Api, user: Caller, editor: Caller, product: str
) -> None:
    path = f"products/{product}/reviews"
    review = api.post(path, {"rating": 3}, by=user, status=201).headers["Location"]
    api.patch(f"products/{product}", {"is_active": False}, by=editor, status=200)
    for hidden in (path, review, f"products/{product}/rating"):
        api.get(hidden, by=user, status=404)
    api.patch(review, {"rating": 4}, by=user, status=404)
    api.post(f"products/{product}/reviews", {"rating": 3}, by=user, status=404)


def test_tags_of_a_task_are_selected_by_its_id(api: Api, user: Caller) -> None:
    tasks = [
        api.post("tasks", {"title": title}, by=user, status=201).json["id"] for title in ("a", "b")
    ]
    for name, tagged in (("home", tasks), ("work", tasks[1:])):
        body = {"name": name, "tasks": [{"task_id": task} for task in tagged]}
        api.post("tags", body, by=user, status=201)
    for task, names in zip(tasks, (["home"], ["home", "work"]), strict=True):
        page = api.get(f"tags?task_id={task}", by=user, status=200).json
        assert [tag["name"] for tag in page["items"]] == names
    api.delete(f"tasks/{tasks[1]}", by=user, status=204)
    assert [len(t["tasks"]) for t in api.get("tags", by=user, status=200).json["items"]] == [1, 0]


def test_task_has_a_tag_once(api: Api, user: Caller) -> None:
    task = api.post("tasks", {"title": "a"}, by=user, status=201).json["id"]
    body = {"name": "home", "tasks": [{"task_id": task}, {"task_id": task}]}
    refused = api.post("tags", body, by=user, status=409)
    assert error_locations(refused) == {"#/tasks/1/task_id"}


def test_file_of_a_task_is_for_its_owner_and_deleted_with_it(
    api: Api, user: Caller, other: Caller
) -> None:
    task = api.post("tasks", {"title": "a"}, by=user, status=201).headers["Location"]
    path = f"{task}/attachments"
    file: dict[str, Any] = {"data": b"%PDF-1.7", "content_type": "application/pdf"}
    file["query_string"] = {"file_name": "Bill.pdf"}
    api.call("POST", path, by=other, status=404, **file)
    attached = api.call("POST", path, by=user, status=201, **file).headers["Location"]
    got = api.get(f"{attached}/file", by=user, status=200)
    assert (got.data, got.headers["Content-Disposition"]) == (
        b"%PDF-1.7",
        "attachment; filename=Bill.pdf",
    )
    for hidden in (attached, f"{attached}/file"):
        api.get(hidden, by=other, status=404)
    api.delete(task, by=user, status=204)
    for deleted in (attached, f"{attached}/file"):
        api.get(deleted, by=user, status=404)


def test_file_of_a_task_has_at_most_a_million_bytes(api: Api, user: Caller) -> None:
    task = api.post("tasks", {"title": "a"}, by=user, status=201).headers["Location"]
    largest = b"%PDF-1.7".ljust(1_000_000)
    for data, status in ((largest, 201), (largest + b" ", 413)):
        file: dict[str, Any] = {"data": data, "content_type": "application/pdf"}
        answer = api.call("POST", f"{task}/attachments", by=user, status=status, **file)
    # That of the service; nginx accepts 1 MiB.
    assert answer.json["detail"] == "The body of the request is larger than 1000000 bytes."

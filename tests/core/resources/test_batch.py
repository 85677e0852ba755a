"""Batches: rules of single items, errors of the database, parallel batches."""

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.audit.models import AuditEvent
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import permission
from tests import rows
from tests.api import Api, Caller
from tests.articles.models import Article
from tests.articles.routes import create_article, delete_article, update_article
from tests.articles.schemas import ArticleSchema
from tests.conftest import MakeApp
from tests.errands.models import Errand

stock = Blueprint("stock", __name__, url_prefix="/stock", description="Articles, many at once.")


@stock.post("/batch", access=permission("articles:write"))
@stock.batch(ArticleSchema)
def change_stock(data: dict[str, Any]) -> Batch:
    """Create, change and delete articles: items that the database can refuse."""
    return Batch(data["items"], create_article, update_article, delete_article)


@pytest.fixture
def shop(make_app: MakeApp) -> Api:
    return Api(make_app(stock))


def create(**value: Any) -> dict[str, Any]:
    return {"op": "create", "value": value}


def article(sku: str, **value: Any) -> dict[str, Any]:
    given = {"name": "Mug", "category": "kitchen", "price": "1.00", "currency": "EUR"}
    return create(sku=sku, **{**given, **value})


def change(item: str, tag: str = "*", **value: Any) -> dict[str, Any]:
    return {"op": "update", "id": item, "if_match": tag, "value": value}


def delete(item: str, tag: str = "*") -> dict[str, Any]:
    return {"op": "delete", "id": item, "if_match": tag}


def send(api: Api, by: Caller, *items: dict[str, Any], **kwargs: Any) -> TestResponse:
    return api.post("errands/batch", {"items": list(items)}, by=by, **kwargs)


def sell(shop: Api, by: Caller, *items: dict[str, Any], **kwargs: Any) -> TestResponse:
    return shop.post("stock/batch", {"items": list(items)}, by=by, **kwargs)


def ids(response: TestResponse) -> list[str]:
    return [item["id"] for item in response.json["items"]]


def failures(response: TestResponse) -> list[tuple[str, int]]:
    assert response.json["type"] == "/problems/batch-failed"
    return [(place["pointer"], place["status"]) for place in response.json["errors"]]


def test_batch_sets_completed_at_as_a_single_change_does(api: Api, user: Caller) -> None:
    (item,) = ids(send(api, user, create(title="Water", done=True), status=200))
    errand = api.get(f"errands/{item}", by=user, status=200).json
    assert errand["completed_at"] is not None
    reopened = send(api, user, change(item, '"1"', done=False), status=200).json["items"][0]
    assert (reopened["value"]["completed_at"], reopened["value"]["version"]) == (None, 2)
    again = send(api, user, change(item, reopened["etag"], done=True, title="Weed"), status=200)
    assert again.json["items"][0]["value"]["completed_at"] is not None


def test_empty_update_in_a_batch_keeps_value_and_etag(api: Api, user: Caller) -> None:
    (item,) = ids(send(api, user, create(title="Water"), status=200))
    before = api.get(f"errands/{item}", by=user, status=200)
    same = send(api, user, change(item, '"1"'), status=200).json["items"][0]
    assert (same["value"], same["etag"]) == (before.json, before.headers["ETag"])


def test_batch_returns_items_with_different_members_in_order(api: Api, user: Caller) -> None:
    items = [
        create(title="a"),
        create(title="b", description="x"),
        create(title="c", priority="high"),
        create(title="d"),
    ]
    done = send(api, user, *items, status=200).json["items"]
    assert [item["value"]["title"] for item in done] == ["a", "b", "c", "d"]
    assert [item["value"]["priority"] for item in done] == ["normal", "normal", "high", "normal"]


# begin audit
def test_each_item_of_a_batch_is_audited_and_a_failed_batch_is_not(
    app: Flask, api: Api, user: Caller
) -> None:
    first, second = ids(send(api, user, create(title="a"), create(title="b"), status=200))
    done = send(api, user, change(first, title="c"), delete(second), create(title="d"), status=200)
    asked = done.headers["X-Request-ID"]
    assert sorted(rows.read(app, AuditEvent.action, request_id=asked)) == [
        "create",
        "delete",
        "update",
    ]
    assert rows.read(app, AuditEvent.after, request_id=asked, action="update") == [{"title": "c"}]
    assert set(rows.read(app, AuditEvent.actor_id, request_id=asked)) == {user.id}
    failed = send(api, user, create(title="e"), delete(second), status=422)
    assert rows.count(app, AuditEvent, request_id=failed.headers["X-Request-ID"]) == 0


# end audit
def test_constraint_violations_are_reported_for_every_item(
    app: Flask, shop: Api, editor: Caller
) -> None:
    old, other = ids(sell(shop, editor, article("A"), article("B"), status=200))
    items = [
        article("C"),
        article("a"),  # the SKU of `old`
        change(old, price="1.001"),
        change(other, '"7"', name="Jug"),
        article("D"),
        article("d"),
    ]
    refused = sell(shop, editor, *items, status=422)
    assert failures(refused) == [
        ("#/items/1/value/sku", 409),
        ("#/items/2/value/price", 422),
        ("#/items/3", 412),
        ("#/items/5/value/sku", 409),
    ]
    # Without the stale item only the constraints of the database fail.
    refused = sell(shop, editor, *items[:3], *items[4:], status=422)
    assert [pointer for pointer, _ in failures(refused)] == [
        "#/items/1/value/sku",
        "#/items/2/value/price",
        "#/items/4/value/sku",
    ]
    assert sorted(rows.read(app, Article.sku)) == ["A", "B"]
    # begin audit
    assert rows.count(app, AuditEvent, resource="articles") == 2
    # end audit


def test_batch_can_reuse_unique_values_that_another_item_frees(shop: Api, editor: Caller) -> None:
    old, other = ids(sell(shop, editor, article("A"), article("B"), status=200))
    sell(shop, editor, article("B"), article("A"), delete(old), change(other, sku="C"), status=200)


def test_huge_number_in_a_batch_is_422(api: Api, user: Caller) -> None:
    body = json.dumps({"items": [create(title=10**30)]})
    sent = {"data": body, "content_type": "application/json", "headers": {"Idempotency-Key": "k"}}
    refused = api.call("POST", "errands/batch", by=user, status=422, **sent)
    assert failures(refused) == [("#/items/0/value/title", 422)]


@pytest.mark.parametrize("tag", ["*", '"1"'])
def test_two_batches_in_opposite_order_do_not_deadlock(
    app: Flask, api: Api, user: Caller, tag: str
) -> None:
    items = ids(send(api, user, *(create(title=str(n)) for n in range(20)), status=200))
    forth = [change(item, tag, title="forth") for item in items]
    back = [change(item, tag, title="back") for item in reversed(items)]
    answers = rows.blocked_by_lock(
        app, select(Errand), lambda: send(api, user, *forth), lambda: send(api, user, *back)
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == ([200, 200] if tag == "*" else [200, 422])
    assert len(set(rows.read(app, Errand.title))) == 1
    for answer in answers:
        if answer.status_code == 422:
            assert [status for _, status in failures(answer)] == [412] * 20


# begin audit
def test_updates_without_change_are_audited(api: Api, user: Caller, admin: Caller) -> None:
    items = ids(send(api, user, create(title="a"), create(title="a"), status=200))
    same = send(api, user, *(change(item, title="a") for item in items), status=200)
    asked = same.headers["X-Request-ID"]
    events = api.get(f"audit-events?request_id={asked}", by=admin, status=200).json["items"]
    assert [(event["before"], event["after"]) for event in events] == [({}, {}), ({}, {})]


# end audit

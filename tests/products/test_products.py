"""Products: everyone reads them, editors and admins write them."""

from typing import Any

import pytest
from flask import Flask

from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.products.requests import MUG, create


def test_product_has_defaults_for_optional_members(api: Api, editor: Caller) -> None:
    created = create(api, editor)
    assert created.items() >= MUG.items()
    assert created.items() >= {"description": None, "stock": 0, "is_active": True}.items()
    assert created.keys() == MUG.keys() | {
        "id", "description", "stock", "is_active", "version", "created_at", "updated_at",
    }  # fmt: skip


def test_product_without_required_members_is_422_and_names_each(api: Api, editor: Caller) -> None:
    refused = api.post("products", {}, by=editor, status=422)
    assert error_locations(refused) == {f"#/{member}" for member in MUG}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("sku", ""), ("sku", "x" * 65), ("sku", None), ("sku", 1), ("name", ""),
        ("name", "x" * 201), ("description", "x" * 5001), ("category", ""),
        ("category", "x" * 101), ("stock", -1), ("stock", 2**31), ("stock", 1.5), ("stock", "1"),
        ("stock", True), ("stock", None), ("is_active", 1), ("is_active", "true"),
        ("is_active", None), ("id", "0190a5d2-0000-7000-8000-000000000000"), ("version", 1),
        ("created_at", "2030-01-01T00:00:00Z"), ("updated_at", "2030-01-01T00:00:00Z"),
        ("colour", "blue"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_product_with_invalid_member_is_422_and_names_it(
    api: Api, editor: Caller, method: str, member: str, value: Any
) -> None:
    wrong = MUG | {"sku": "MUG-2", member: value}
    if method == "POST":
        refused = api.post("products", wrong, by=editor, status=422)
    else:
        mug = create(api, editor)
        refused = api.patch(f"products/{mug['id']}", wrong, by=editor, status=422)
        assert api.get(f"products/{mug['id']}").json == mug
    assert error_locations(refused) == {f"#/{member}"}


def test_every_writable_member_of_a_product_can_be_changed(api: Api, editor: Caller) -> None:
    mug = create(api, editor)
    change = {
        "sku": "MUG-2",
        "name": "Large mug",
        "description": "Holds 0.5 litres.",
        "category": "office",
        "price": "15.00",
        "currency": "USD",
        "stock": 2**31 - 1,
        "is_active": False,
    }
    changed = api.patch(f"products/{mug['id']}", change, by=editor, status=200).json

    assert changed.items() >= change.items()
    assert changed["version"] == mug["version"] + 1
    assert changed["updated_at"] > mug["updated_at"]
    assert (changed["id"], changed["created_at"]) == (mug["id"], mug["created_at"])
    assert api.get(f"products/{mug['id']}", by=editor).json == changed


def test_product_description_is_removed_by_null(api: Api, editor: Caller) -> None:
    mug = create(api, editor, description="Holds 0.3 litres.")
    changed = api.patch(f"products/{mug['id']}", {"description": None}, by=editor, status=200)
    assert changed.json["description"] is None


@pytest.mark.parametrize("taken", ["MUG-1", "mug-1", "Mug-1"])
def test_sku_is_unique_regardless_of_case(api: Api, editor: Caller, taken: str) -> None:
    create(api, editor, sku="MUG-1")
    refused = api.post("products", MUG | {"sku": taken}, by=editor, status=409)
    assert error_locations(refused) == {"#/sku"}
    assert refused.json["detail"] == "A product with this SKU exists already."


def test_sku_keeps_its_case(api: Api, editor: Caller) -> None:
    assert create(api, editor, sku="Mug-Ä1")["sku"] == "Mug-Ä1"


def test_change_to_a_taken_sku_is_409(api: Api, editor: Caller) -> None:
    create(api, editor, sku="MUG-1")
    other = create(api, editor, sku="MUG-2")
    refused = api.patch(f"products/{other['id']}", {"sku": "mug-1"}, by=editor, status=409)
    assert error_locations(refused) == {"#/sku"}
    assert api.get(f"products/{other['id']}").json == other


def test_case_of_a_sku_can_be_changed(api: Api, editor: Caller) -> None:
    mug = create(api, editor, sku="MUG-1")
    api.patch(f"products/{mug['id']}", {"sku": "mug-1"}, by=editor, status=200)


def test_sku_of_a_deleted_product_can_be_reused(api: Api, editor: Caller) -> None:
    api.delete(f"products/{create(api, editor)['id']}", by=editor, status=204)
    create(api, editor)


def test_concurrent_creates_with_one_sku_create_one_product(
    api: Api, app: Flask, editor: Caller
) -> None:
    answers = rows.in_parallel(*[lambda: api.post("products", MUG, by=editor)] * 2)
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert rows.count(app, Product) == 1


@pytest.mark.parametrize("sku", [" ALIKE-É", "ALIKE-É ", "alike-É", "ALIKE-E\u0301"])
def test_sku_that_looks_like_another_is_a_conflict(api: Api, editor: Caller, sku: str) -> None:
    product = {"name": "Mug", "category": "kitchen", "price": "1", "currency": "EUR"}
    created = api.post("products", {**product, "sku": "ALIKE-É"}, by=editor, status=201)
    assert created.json["sku"] == "ALIKE-É"
    api.post("products", {**product, "sku": sku}, by=editor, status=409)


@pytest.mark.parametrize("member", ["sku", "name", "category"])
@pytest.mark.parametrize("text", ["", "  ", "\u200b", "\xa0"])
def test_product_without_a_visible_text_is_refused(
    api: Api, editor: Caller, member: str, text: str
) -> None:
    product = {"sku": "A", "name": "Mug", "category": "kitchen", "price": "1", "currency": "EUR"}
    refused = api.post("products", {**product, member: text}, by=editor, status=422)
    assert error_locations(refused) == {f"#/{member}"}

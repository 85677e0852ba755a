"""Products: a shared catalogue."""

import pytest

from tests.api import Api, Caller, places

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.5", "currency": "EUR"}


def test_price_keeps_the_scale_of_its_currency(api: Api, editor: Caller) -> None:
    created = api.post("products", MUG, by=editor, status=201)
    assert created.json["price"] == "12.50"


def test_sku_is_unique_whatever_its_case(api: Api, editor: Caller) -> None:
    api.post("products", MUG, by=editor, status=201)
    taken = api.post("products", MUG | {"sku": "mug-1"}, by=editor, status=409)
    assert places(taken) == {"#/sku"}

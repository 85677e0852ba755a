"""Prices of products: exact amounts in the scale of a currency."""

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.products.requests import MUG, create


@pytest.mark.parametrize(
    ("given", "currency", "kept"),
    [
        ("12.5", "EUR", "12.50"),
        ("12", "EUR", "12.00"),
        ("0", "EUR", "0.00"),
        ("0.01", "EUR", "0.01"),
        ("99999999999.99", "EUR", "99999999999.99"),
        ("1500", "JPY", "1500"),
        ("1.2", "KWD", "1.200"),
        ("1.234", "KWD", "1.234"),
        ("99999999999.9999", "CLF", "99999999999.9999"),
        ("0.0001", "CLF", "0.0001"),
    ],
)
def test_price_is_stored_exactly_with_the_scale_of_its_currency(
    api: Api, editor: Caller, given: str, currency: str, kept: str
) -> None:
    created = create(api, editor, price=given, currency=currency)
    assert created["price"] == kept
    assert api.get(f"products/{created['id']}").json["price"] == kept


def test_price_in_a_withdrawn_currency_can_be_read_and_replaced(
    api: Api, app: Flask, editor: Caller
) -> None:
    row_id = rows.add(app, Product, **MUG | {"price": Decimal("12.5"), "currency": "BGN"})
    path = f"products/{row_id}"
    stored = api.get(path, status=200).json
    assert (stored["price"], stored["currency"]) == ("12.50", "BGN")
    assert api.get("products", status=200).json["items"] == [stored]
    refused = api.patch(path, {"currency": "BGN"}, by=editor, status=422)
    assert error_locations(refused) == {"#/currency"}
    priced = {"price": "6.39", "currency": "EUR"}
    assert api.patch(path, priced, by=editor, status=200).json.items() >= priced.items()


@pytest.mark.parametrize(
    ("price", "currency"),
    [("19.999", "EUR"), ("19.990", "EUR"), ("1500.5", "JPY"), ("1.2345", "KWD")],
)
def test_price_with_more_decimals_than_its_currency_is_422(
    api: Api, app: Flask, editor: Caller, price: str, currency: str
) -> None:
    wrong = MUG | {"price": price, "currency": currency}
    refused = api.post("products", wrong, by=editor, status=422)
    assert error_locations(refused) == {"#/price"}
    assert currency in refused.json["errors"][0]["detail"]
    assert rows.count(app, Product) == 0


@pytest.mark.parametrize(
    "price",
    [
        12.5, 12, True, None, "", " 1", "1 ", "1\n", "+1", "-1", "-0", "-0.01", "1e2", "0x1",
        "NaN", "Infinity", "1_000", "1,000", "1.", ".5", "01", "00.50", "١٢", "1.23456",
        "100000000000", "1" + "0" * 30, ["1"], {"amount": "1"},
    ],
    ids=repr,
)  # fmt: skip
def test_price_that_is_not_a_plain_decimal_string_is_422(
    api: Api, editor: Caller, price: Any
) -> None:
    refused = api.post("products", MUG | {"price": price}, by=editor, status=422)
    assert error_locations(refused) == {"#/price"}


@pytest.mark.parametrize("currency", ["eur", "Eur", "EU", "EURO", "XXX", "BTC", "", None, 978])
def test_unknown_currency_is_422(api: Api, editor: Caller, currency: Any) -> None:
    refused = api.post("products", MUG | {"currency": currency}, by=editor, status=422)
    assert error_locations(refused) == {"#/currency"}


@pytest.mark.parametrize(
    ("price", "currency", "change"),
    [
        ("12.50", "EUR", {"price": "12.505"}),
        ("12.50", "EUR", {"currency": "JPY"}),
        ("1.234", "KWD", {"currency": "EUR"}),
        ("1500", "JPY", {"price": "1500.5"}),
        ("1500", "JPY", {"price": "1.2345", "currency": "KWD"}),
    ],
)
def test_change_of_price_or_currency_that_exceeds_the_scale_is_422(
    api: Api, editor: Caller, price: str, currency: str, change: dict[str, str]
) -> None:
    mug = create(api, editor, price=price, currency=currency)
    refused = api.patch(f"products/{mug['id']}", change | {"name": "Cup"}, by=editor, status=422)
    assert error_locations(refused) == {"#/price"}
    assert "more decimals" in refused.json["errors"][0]["detail"]
    assert api.get(f"products/{mug['id']}").json == mug


@pytest.mark.parametrize(
    ("change", "price"),
    [
        ({"price": "13"}, "13.00"),
        ({"currency": "KWD"}, "12.000"),
        ({"currency": "JPY"}, "12"),
        ({"price": "1.234", "currency": "KWD"}, "1.234"),
    ],
)
def test_price_takes_the_scale_of_a_new_currency(
    api: Api, editor: Caller, change: dict[str, str], price: str
) -> None:
    mug = create(api, editor, price="12.00", currency="EUR")
    changed = api.patch(f"products/{mug['id']}", change, by=editor, status=200)
    assert changed.json["price"] == price


def test_sum_of_prices_is_exact(api: Api, editor: Caller) -> None:
    dime = create(api, editor, price="0.10")
    more = create(api, editor, price="0.20", sku="MUG-2")
    assert Decimal(dime["price"]) + Decimal(more["price"]) == Decimal("0.30")

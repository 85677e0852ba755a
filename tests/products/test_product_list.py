"""The list of products: filters, search, summary."""

import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask_caching.backends import RedisCache

from app.config import Settings
from app.core.web.redis_connection import redis_options
from app.extensions import cache
from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.conftest import Counter
from tests.products.requests import create, names

DAY = datetime(2030, 1, 1, tzinfo=UTC)

CATALOGUE = [  # one created each day, updated in the opposite order
    {"name": "Mug", "category": "kitchen", "price": 12.50, "currency": "EUR", "stock": 25},
    {"name": "Kettle", "category": "kitchen", "price": 40, "currency": "EUR", "stock": 0},
    {"name": "Spade", "category": "garden", "price": 8, "currency": "USD", "stock": 3},
    {"name": "lamp", "category": "office", "price": 1500, "currency": "JPY", "stock": 0},
]


class TestProductList:
    @pytest.fixture(autouse=True)
    def catalogue(self, app: Flask) -> None:
        for n, members in enumerate(CATALOGUE):
            values = members | {"price": Decimal(str(members["price"])), "sku": f"SKU-{n}"}
            instants = {
                "created_at": DAY + timedelta(days=n),
                "updated_at": DAY + timedelta(days=9 - n),
            }
            rows.add(app, Product, **values, **instants)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["Mug", "Kettle", "Spade", "lamp"]),
            ({"category": "kitchen"}, ["Mug", "Kettle"]),
            ({"category": "Kitchen"}, []),
            ({"currency": "USD"}, ["Spade"]),
            ({"in_stock": "true"}, ["Mug", "Spade"]),
            ({"in_stock": "false"}, ["Kettle", "lamp"]),
            ({"price_min": "12.50"}, ["Mug", "Kettle", "lamp"]),
            ({"price_min": "12.5001"}, ["Kettle", "lamp"]),
            ({"price_max": "12.5"}, ["Mug", "Spade"]),
            ({"price_min": "10", "price_max": "100"}, ["Mug", "Kettle"]),
            ({"price_min": "100", "price_max": "10"}, []),
            ({"created_from": "2030-01-03T00:00:00Z"}, ["Spade", "lamp"]),
            ({"created_to": "2030-01-03T00:00:00Z"}, ["Mug", "Kettle"]),
            ({"created_from": "2030-01-03T01:00:00+01:00"}, ["Spade", "lamp"]),
            (
                {"created_from": "2030-01-02T00:00:00Z", "created_to": "2030-01-03T00:00:00Z"},
                ["Kettle"],
            ),
            ({"category": "kitchen", "in_stock": "true", "currency": "EUR"}, ["Mug"]),
            ({"category": "kitchen", "currency": "USD"}, []),
        ],
        ids=str,
    )
    def test_product_list_contains_what_matches_every_filter(
        self, api: Api, query: dict[str, str], found: list[str]
    ) -> None:
        page = api.get(f"products?{urlencode(query | {'sort': 'created_at'})}", status=200)
        assert names(page) == found

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("created_at", ["Mug", "Kettle", "Spade", "lamp"]),
            ("updated_at", ["lamp", "Spade", "Kettle", "Mug"]),
            ("name", ["Kettle", "Mug", "Spade", "lamp"]),  # by code point, capitals first
            ("price", ["Spade", "Mug", "Kettle", "lamp"]),
        ],
    )
    def test_product_list_is_sorted_in_both_directions(
        self, api: Api, sort: str, order: list[str]
    ) -> None:
        assert names(api.get(f"products?sort={sort}", status=200)) == order
        assert names(api.get(f"products?sort=-{sort}", status=200)) == order[::-1]

    def test_product_list_begins_with_the_newest_by_default(self, api: Api) -> None:
        assert names(api.get("products", status=200)) == ["lamp", "Spade", "Kettle", "Mug"]

    def test_change_moves_product_in_list_sorted_by_updated_at(
        self, api: Api, editor: Caller
    ) -> None:
        [spade] = api.get("products?currency=USD").json["items"]
        in_ten_years = DAY.replace(year=2040).isoformat()
        assert spade["updated_at"] < in_ten_years
        api.patch(f"products/{spade['id']}", {"stock": 4}, by=editor, status=200)
        assert names(api.get("products?sort=updated_at"))[0] == "Spade"  # the others: 2030

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("category", ""), ("category", "x" * 101), ("currency", "eur"), ("currency", "XXX"),
            ("in_stock", "1"), ("in_stock", "True"), ("is_active", "yes"), ("price_min", "-1"),
            ("price_min", "1e2"), ("price_max", "NaN"), ("price_max", "1.23456"),
            ("created_from", "2030-01-01"), ("created_to", "2030-01-01T00:00:00"), ("q", ""),
            ("q", "x" * 201), ("q", "\0"), ("sort", "stock"), ("sort", "+name"),
            ("sort", "name,price"), ("colour", "blue"),
        ],
    )  # fmt: skip
    def test_product_list_with_invalid_parameter_is_422_and_names_it(
        self, api: Api, parameter: str, value: str
    ) -> None:
        refused = api.get(f"products?{urlencode({parameter: value})}", status=422)
        assert error_locations(refused) == {parameter}

    def test_product_list_names_every_invalid_parameter(self, api: Api) -> None:
        refused = api.get("products?price_min=x&sort=stock&colour=blue", status=422)
        assert error_locations(refused) == {"price_min", "sort", "colour"}


class TestProductSearch:
    @pytest.fixture(autouse=True)
    def catalogue(self, app: Flask) -> None:
        for n, (name, description) in enumerate(
            [
                ("Enamel mug", "Holds 0.3 litres."),
                ('Screen 17" wide', "It's bright."),
                ("Shirt", "100% cotton, made_by_hand"),
                ("Teapot", None),
            ]
        ):
            values = {"name": name, "description": description, "sku": f"SKU-{n}", "stock": 1}
            money = {"price": Decimal(1), "currency": "EUR", "category": "all"}
            rows.add(app, Product, created_at=DAY + timedelta(days=n), **values, **money)

    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ("mug", ["Enamel mug"]),
            ("MUG", ["Enamel mug"]),
            ("enamel mug", ["Enamel mug"]),
            ("litres", ["Enamel mug"]),
            ("cotton", ["Shirt"]),
            ("teapot", ["Teapot"]),
            ("saucer", []),
            ("mug saucer", []),
        ],
    )
    def test_product_search_finds_words_of_name_and_description(
        self, api: Api, q: str, found: list[str]
    ) -> None:
        assert names(api.get(f"products?{urlencode({'q': q})}", status=200)) == found

    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ('17"', ['Screen 17" wide']),
            ("it's", ['Screen 17" wide']),
            ("100%", ["Shirt"]),
            ("made_by_hand", ["Shirt"]),
        ],
    )
    def test_product_search_takes_special_characters_literally(
        self, api: Api, q: str, found: list[str]
    ) -> None:
        assert names(api.get(f"products?{urlencode({'q': q})}", status=200)) == found

    @pytest.mark.parametrize(
        "q",
        ["%%", "m_g", "t%t", "' OR 1=1 --", '"unclosed', "mug | teapot", "(((", ":*", "\\", "<->",
         "-- ", "' ; DROP TABLE products; --", "😀", "\u202e"],
    )  # fmt: skip
    def test_product_search_has_no_operators(self, api: Api, q: str) -> None:
        assert names(api.get(f"products?{urlencode({'q': q})}", status=200)) == []

    def test_product_search_combines_with_filters_and_sort(self, api: Api) -> None:
        query = "q=cotton&category=all&sort=-price&in_stock=true"
        assert names(api.get(f"products?{query}", status=200)) == ["Shirt"]
        assert names(api.get("products?q=cotton&category=none", status=200)) == []


class TestProductSummary:
    @pytest.fixture(autouse=True)
    def catalogue(self, api: Api, editor: Caller) -> dict[str, Any]:
        create(api, editor, sku="K-2", price="40.00", stock=7)
        create(api, editor, sku="K-3", price="99.00", stock=100, is_active=False)
        create(api, editor, sku="K-4", price="3.000", stock=2, currency="KWD")
        create(api, editor, sku="G-1", price="8.00", stock=0, category="garden")
        return create(api, editor, sku="K-1", price="12.50", stock=25)

    def kitchen(self, api: Api) -> dict[str, Any]:
        items = api.get("products/summary", status=200).json["items"]
        return next(i for i in items if (i["category"], i["currency"]) == ("kitchen", "EUR"))

    def test_summary_counts_active_products_per_category_and_currency(self, api: Api) -> None:
        summary = api.get("products/summary", status=200)

        assert summary.json == {
            "items": [
                {
                    "category": "garden", "currency": "EUR", "count": 1, "stock": 0,
                    "price_min": "8.00", "price_max": "8.00",
                },
                {
                    "category": "kitchen", "currency": "EUR", "count": 2, "stock": 32,
                    "price_min": "12.50", "price_max": "40.00",
                },
                {
                    "category": "kitchen", "currency": "KWD", "count": 1, "stock": 2,
                    "price_min": "3.000", "price_max": "3.000",
                },
            ]
        }  # fmt: skip

    def test_summary_is_equal_for_every_caller(self, api: Api, editor: Caller) -> None:
        assert api.get("products/summary", by=editor).json == api.get("products/summary").json

    def test_summary_is_cached(self, api: Api, queries: Counter) -> None:
        with queries() as sent:
            first = api.get("products/summary", status=200)
        assert len(sent) == 1
        with queries() as sent:
            second = api.get("products/summary", status=200)
        assert sent == []
        assert second.json == first.json

    def test_empty_summary_is_cached(
        self, api: Api, app: Flask, editor: Caller, queries: Counter
    ) -> None:
        for item in api.get("products", by=editor).json["items"]:
            api.delete(f"products/{item['id']}", by=editor, status=204)
        assert api.get("products/summary").json == {"items": []}
        with queries() as sent:
            api.get("products/summary", status=200)
        assert sent == []

    def test_write_invalidates_the_summary(
        self, api: Api, editor: Caller, catalogue: dict[str, Any]
    ) -> None:
        path = f"products/{catalogue['id']}"
        assert self.kitchen(api)["stock"] == 32
        create(api, editor, sku="K-5", stock=1)
        assert self.kitchen(api)["stock"] == 33
        api.patch(path, {"stock": 26}, by=editor, status=200)
        assert self.kitchen(api)["stock"] == 34
        api.delete(path, by=editor, status=204)
        assert self.kitchen(api)["stock"] == 8

    def test_refused_write_keeps_the_cached_summary(
        self, api: Api, editor: Caller, catalogue: dict[str, Any], queries: Counter
    ) -> None:
        api.get("products/summary", status=200)
        api.patch(f"products/{catalogue['id']}", {"stock": -1}, by=editor, status=422)
        with queries() as sent:
            api.get("products/summary", status=200)
        assert sent == []

    def test_summary_is_computed_when_the_cache_is_unreachable(
        self,
        api: Api,
        app: Flask,
        settings: Settings,
        editor: Caller,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed_below:
            port = closed_below.getsockname()[1]
        gone = RedisCache("127.0.0.1", port, **redis_options(settings))
        with monkeypatch.context() as broken:
            broken.setitem(app.extensions["cache"], cache, gone)
            assert self.kitchen(api)["stock"] == 32
            create(api, editor, sku="K-5", stock=1)
            assert self.kitchen(api)["stock"] == 33

"""Products: everyone reads them, editors and admins write them."""

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

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}


def create(api: Api, by: Caller, **members: Any) -> dict[str, Any]:
    """A new product, as the service returns it."""
    product: dict[str, Any] = api.post("products", MUG | members, by=by, status=201).json
    return product


def names(response: Any) -> list[str]:
    return [item["name"] for item in response.json["items"]]


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


@pytest.fixture
def inactive(api: Api, editor: Caller) -> dict[str, Any]:
    create(api, editor, name="On sale")
    return create(api, editor, sku="OLD-1", name="Withdrawn", is_active=False)


def test_inactive_product_is_hidden_from_readers(
    api: Api, user: Caller, inactive: dict[str, Any]
) -> None:
    for reader in (None, user):
        api.get(f"products/{inactive['id']}", by=reader, status=404)
        assert names(api.get("products", by=reader)) == ["On sale"]


def test_inactive_product_is_visible_to_writers(
    api: Api, editor: Caller, admin: Caller, inactive: dict[str, Any]
) -> None:
    for writer in (editor, admin):
        assert api.get(f"products/{inactive['id']}", by=writer, status=200).json == inactive
        assert names(api.get("products", by=writer)) == ["Withdrawn", "On sale"]


def test_writers_can_filter_by_is_active(
    api: Api, editor: Caller, inactive: dict[str, Any]
) -> None:
    assert names(api.get("products?is_active=false", by=editor)) == ["Withdrawn"]
    assert names(api.get("products?is_active=true", by=editor)) == ["On sale"]


@pytest.mark.parametrize("query", ["is_active=true", "is_active=false"])
def test_filter_by_is_active_is_403_for_readers(api: Api, user: Caller, query: str) -> None:
    for reader in (None, user):
        refused = api.get(f"products?{query}", by=reader, status=403)
        assert error_locations(refused) == {"is_active"}
        assert "insufficient_scope" in refused.headers["WWW-Authenticate"]


def test_cursor_of_a_writer_does_not_reveal_inactive_products(
    api: Api, editor: Caller, inactive: dict[str, Any]
) -> None:
    create(api, editor, sku="OLD-2", name="Withdrawn too", is_active=False)
    theirs = api.get("products?is_active=false&limit=1", by=editor).json["next_cursor"]
    of_all = api.get("products?limit=1", by=editor).json["next_cursor"]
    api.get(f"products?cursor={theirs}", status=403)
    assert names(api.get(f"products?cursor={of_all}", status=200)) == ["On sale"]


def test_reactivated_product_is_visible_to_readers(
    api: Api, editor: Caller, inactive: dict[str, Any]
) -> None:
    api.patch(f"products/{inactive['id']}", {"is_active": True}, by=editor, status=200)
    api.get(f"products/{inactive['id']}", status=200)


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

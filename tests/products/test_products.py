"""Products: a catalogue that anyone reads, and editors and admins write."""

import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask_caching.backends import RedisCache

from app.config import Settings
from app.core.web.rate_limit import redis_options
from app.extensions import cache
from app.products.models import Product
from tests import rows
from tests.api import Api, Caller, places
from tests.conftest import Counter

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}


def create(api: Api, by: Caller, **members: Any) -> dict[str, Any]:
    """A new product, as the service answers it."""
    product: dict[str, Any] = api.post("products", MUG | members, by=by, status=201).json
    return product


def names(response: Any) -> list[str]:
    return [item["name"] for item in response.json["items"]]


class TestAProduct:
    def test_needs_five_members_and_gets_the_rest(self, api: Api, editor: Caller) -> None:
        created = create(api, editor)

        assert created.items() >= MUG.items()
        assert created.items() >= {"description": None, "stock": 0, "is_active": True}.items()
        assert created.keys() == MUG.keys() | {
            "id", "description", "stock", "is_active", "version", "created_at", "updated_at",
        }  # fmt: skip

    def test_without_them_is_422_and_names_each(self, api: Api, editor: Caller) -> None:
        refused = api.post("products", {}, by=editor, status=422)

        assert places(refused) == {f"#/{member}" for member in MUG}

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("sku", ""),
            ("sku", "x" * 65),
            ("sku", None),
            ("sku", 1),
            ("name", ""),
            ("name", "x" * 201),
            ("description", "x" * 5001),
            ("category", ""),
            ("category", "x" * 101),
            ("stock", -1),
            ("stock", 2**31),
            ("stock", 1.5),
            ("stock", "1"),
            ("stock", True),
            ("stock", None),
            ("is_active", 1),
            ("is_active", "true"),
            ("is_active", None),
            ("id", "0190a5d2-0000-7000-8000-000000000000"),
            ("version", 1),
            ("created_at", "2030-01-01T00:00:00Z"),
            ("updated_at", "2030-01-01T00:00:00Z"),
            ("colour", "blue"),
        ],
    )
    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_refuses_a_wrong_member_and_names_it(
        self, api: Api, editor: Caller, method: str, member: str, value: Any
    ) -> None:
        wrong = MUG | {"sku": "MUG-2", member: value}
        if method == "POST":
            refused = api.post("products", wrong, by=editor, status=422)
        else:
            mug = create(api, editor)
            refused = api.patch(f"products/{mug['id']}", wrong, by=editor, status=422)
            assert api.get(f"products/{mug['id']}").json == mug

        assert places(refused) == {f"#/{member}"}

    def test_can_be_changed_in_every_member(self, api: Api, editor: Caller) -> None:
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

    def test_loses_its_description_by_null(self, api: Api, editor: Caller) -> None:
        mug = create(api, editor, description="Holds 0.3 litres.")
        changed = api.patch(f"products/{mug['id']}", {"description": None}, by=editor, status=200)

        assert changed.json["description"] is None


class TestTheSku:
    @pytest.mark.parametrize("taken", ["MUG-1", "mug-1", "Mug-1"])
    def test_is_unique_whatever_its_case(self, api: Api, editor: Caller, taken: str) -> None:
        create(api, editor, sku="MUG-1")
        refused = api.post("products", MUG | {"sku": taken}, by=editor, status=409)

        assert places(refused) == {"#/sku"}
        assert refused.json["detail"] == "A product with this SKU exists already."

    def test_is_given_back_as_it_was_given(self, api: Api, editor: Caller) -> None:
        assert create(api, editor, sku="Mug-Ä1")["sku"] == "Mug-Ä1"

    def test_cannot_be_changed_to_one_that_is_taken(self, api: Api, editor: Caller) -> None:
        create(api, editor, sku="MUG-1")
        other = create(api, editor, sku="MUG-2")
        refused = api.patch(f"products/{other['id']}", {"sku": "mug-1"}, by=editor, status=409)

        assert places(refused) == {"#/sku"}
        assert api.get(f"products/{other['id']}").json == other

    def test_may_change_its_case(self, api: Api, editor: Caller) -> None:
        mug = create(api, editor, sku="MUG-1")

        api.patch(f"products/{mug['id']}", {"sku": "mug-1"}, by=editor, status=200)

    def test_is_free_again_once_the_product_is_gone(self, api: Api, editor: Caller) -> None:
        api.delete(f"products/{create(api, editor)['id']}", by=editor, status=204)

        create(api, editor)

    def test_is_given_once_to_two_at_the_same_time(
        self, api: Api, app: Flask, editor: Caller
    ) -> None:
        answers = rows.at_once(*[lambda: api.post("products", MUG, by=editor)] * 2)

        assert sorted(answer.status_code for answer in answers) == [201, 409]
        assert rows.count(app, Product) == 1


class TestMoney:
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
    def test_is_kept_exactly_and_has_the_scale_of_its_currency(
        self, api: Api, editor: Caller, given: str, currency: str, kept: str
    ) -> None:
        created = create(api, editor, price=given, currency=currency)

        assert created["price"] == kept
        assert api.get(f"products/{created['id']}").json["price"] == kept

    def test_in_a_withdrawn_currency_is_read_and_can_be_changed(
        self, api: Api, app: Flask, editor: Caller
    ) -> None:
        row_id = rows.add(app, Product, **MUG | {"price": Decimal("12.5"), "currency": "BGN"})
        path = f"products/{row_id}"

        stored = api.get(path, status=200).json
        assert (stored["price"], stored["currency"]) == ("12.50", "BGN")
        assert api.get("products", status=200).json["items"] == [stored]
        refused = api.patch(path, {"currency": "BGN"}, by=editor, status=422)
        assert places(refused) == {"#/currency"}

        priced = {"price": "6.39", "currency": "EUR"}
        assert api.patch(path, priced, by=editor, status=200).json.items() >= priced.items()

    @pytest.mark.parametrize(
        ("price", "currency"),
        [("19.999", "EUR"), ("19.990", "EUR"), ("1500.5", "JPY"), ("1.2345", "KWD")],
    )
    def test_of_more_decimals_than_its_currency_is_422_not_rounded(
        self, api: Api, app: Flask, editor: Caller, price: str, currency: str
    ) -> None:
        wrong = MUG | {"price": price, "currency": currency}
        refused = api.post("products", wrong, by=editor, status=422)

        assert places(refused) == {"#/price"}
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
    def test_that_is_no_plain_decimal_string_is_422(
        self, api: Api, editor: Caller, price: Any
    ) -> None:
        refused = api.post("products", MUG | {"price": price}, by=editor, status=422)

        assert places(refused) == {"#/price"}

    @pytest.mark.parametrize("currency", ["eur", "Eur", "EU", "EURO", "XXX", "BTC", "", None, 978])
    def test_of_an_unknown_currency_is_422(self, api: Api, editor: Caller, currency: Any) -> None:
        refused = api.post("products", MUG | {"currency": currency}, by=editor, status=422)

        assert places(refused) == {"#/currency"}

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
    def test_keeps_to_the_scale_when_only_half_of_it_changes(
        self, api: Api, editor: Caller, price: str, currency: str, change: dict[str, str]
    ) -> None:
        mug = create(api, editor, price=price, currency=currency)
        refused = api.patch(
            f"products/{mug['id']}", change | {"name": "Cup"}, by=editor, status=422
        )

        assert places(refused) == {"#/price"}
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
    def test_takes_on_the_scale_of_a_new_currency(
        self, api: Api, editor: Caller, change: dict[str, str], price: str
    ) -> None:
        mug = create(api, editor, price="12.00", currency="EUR")
        changed = api.patch(f"products/{mug['id']}", change, by=editor, status=200)

        assert changed.json["price"] == price

    def test_is_added_up_without_error(self, api: Api, editor: Caller) -> None:
        dime = create(api, editor, price="0.10")
        more = create(api, editor, price="0.20", sku="MUG-2")

        assert Decimal(dime["price"]) + Decimal(more["price"]) == Decimal("0.30")


class TestAnInactiveProduct:
    @pytest.fixture
    def inactive(self, api: Api, editor: Caller) -> dict[str, Any]:
        create(api, editor, name="On sale")
        return create(api, editor, sku="OLD-1", name="Withdrawn", is_active=False)

    def test_does_not_exist_for_those_who_only_read(
        self, api: Api, user: Caller, inactive: dict[str, Any]
    ) -> None:
        for reader in (None, user):
            api.get(f"products/{inactive['id']}", by=reader, status=404)
            assert names(api.get("products", by=reader)) == ["On sale"]

    def test_is_there_for_those_who_write(
        self, api: Api, editor: Caller, admin: Caller, inactive: dict[str, Any]
    ) -> None:
        for writer in (editor, admin):
            assert api.get(f"products/{inactive['id']}", by=writer, status=200).json == inactive
            assert names(api.get("products", by=writer)) == ["Withdrawn", "On sale"]

    def test_can_be_filtered_by_those_who_write(
        self, api: Api, editor: Caller, inactive: dict[str, Any]
    ) -> None:
        assert names(api.get("products?is_active=false", by=editor)) == ["Withdrawn"]
        assert names(api.get("products?is_active=true", by=editor)) == ["On sale"]

    @pytest.mark.parametrize("query", ["is_active=true", "is_active=false"])
    def test_cannot_be_filtered_by_others(self, api: Api, user: Caller, query: str) -> None:
        for reader in (None, user):
            refused = api.get(f"products?{query}", by=reader, status=403)
            assert places(refused) == {"is_active"}
            assert "insufficient_scope" in refused.headers["WWW-Authenticate"]

    def test_is_not_reached_by_a_writers_cursor(
        self, api: Api, editor: Caller, inactive: dict[str, Any]
    ) -> None:
        create(api, editor, sku="OLD-2", name="Withdrawn too", is_active=False)
        theirs = api.get("products?is_active=false&limit=1", by=editor).json["next_cursor"]
        of_all = api.get("products?limit=1", by=editor).json["next_cursor"]

        api.get(f"products?cursor={theirs}", status=403)
        assert names(api.get(f"products?cursor={of_all}", status=200)) == ["On sale"]

    def test_comes_back_when_it_is_active_again(
        self, api: Api, editor: Caller, inactive: dict[str, Any]
    ) -> None:
        api.patch(f"products/{inactive['id']}", {"is_active": True}, by=editor, status=200)

        api.get(f"products/{inactive['id']}", status=200)


DAY = datetime(2030, 1, 1, tzinfo=UTC)
CATALOGUE = [  # made one a day, changed in the opposite order
    {"name": "Mug", "category": "kitchen", "price": 12.50, "currency": "EUR", "stock": 25},
    {"name": "Kettle", "category": "kitchen", "price": 40, "currency": "EUR", "stock": 0},
    {"name": "Spade", "category": "garden", "price": 8, "currency": "USD", "stock": 3},
    {"name": "lamp", "category": "office", "price": 1500, "currency": "JPY", "stock": 0},
]


class TestAList:
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
    def test_holds_what_meets_every_filter(
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
    def test_is_sorted_both_ways(self, api: Api, sort: str, order: list[str]) -> None:
        assert names(api.get(f"products?sort={sort}", status=200)) == order
        assert names(api.get(f"products?sort=-{sort}", status=200)) == order[::-1]

    def test_begins_with_the_newest_by_default(self, api: Api) -> None:
        assert names(api.get("products", status=200)) == ["lamp", "Spade", "Kettle", "Mug"]

    def test_shows_a_change_at_its_head_when_sorted_by_it(self, api: Api, editor: Caller) -> None:
        [spade] = api.get("products?currency=USD").json["items"]
        in_ten_years = DAY.replace(year=2040).isoformat()
        assert spade["updated_at"] < in_ten_years

        api.patch(f"products/{spade['id']}", {"stock": 4}, by=editor, status=200)

        assert names(api.get("products?sort=updated_at"))[0] == "Spade"  # the others: 2030

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("category", ""),
            ("category", "x" * 101),
            ("currency", "eur"),
            ("currency", "XXX"),
            ("in_stock", "1"),
            ("in_stock", "True"),
            ("is_active", "yes"),
            ("price_min", "-1"),
            ("price_min", "1e2"),
            ("price_max", "NaN"),
            ("price_max", "1.23456"),
            ("created_from", "2030-01-01"),
            ("created_to", "2030-01-01T00:00:00"),
            ("q", ""),
            ("q", "x" * 201),
            ("q", "\0"),
            ("sort", "stock"),
            ("sort", "+name"),
            ("sort", "name,price"),
            ("colour", "blue"),
        ],
    )
    def test_refuses_a_wrong_parameter_and_names_it(
        self, api: Api, parameter: str, value: str
    ) -> None:
        refused = api.get(f"products?{urlencode({parameter: value})}", status=422)

        assert places(refused) == {parameter}

    def test_names_every_wrong_parameter(self, api: Api) -> None:
        refused = api.get("products?price_min=x&sort=stock&colour=blue", status=422)

        assert places(refused) == {"price_min", "sort", "colour"}


class TestSearch:
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
    def test_finds_words_of_name_and_description(self, api: Api, q: str, found: list[str]) -> None:
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
    def test_takes_signs_as_they_are(self, api: Api, q: str, found: list[str]) -> None:
        assert names(api.get(f"products?{urlencode({'q': q})}", status=200)) == found

    @pytest.mark.parametrize(
        "q",
        ["%%", "m_g", "t%t", "' OR 1=1 --", '"unclosed', "mug | teapot", "(((", ":*", "\\", "<->",
         "-- ", "' ; DROP TABLE products; --", "😀", "\u202e"],
    )  # fmt: skip
    def test_takes_no_sign_for_an_operator_that_finds_the_rest(self, api: Api, q: str) -> None:
        assert names(api.get(f"products?{urlencode({'q': q})}", status=200)) == []

    def test_goes_with_filters_and_sorts(self, api: Api) -> None:
        query = "q=cotton&category=all&sort=-price&in_stock=true"

        assert names(api.get(f"products?{query}", status=200)) == ["Shirt"]
        assert names(api.get("products?q=cotton&category=none", status=200)) == []


class TestTheSummary:
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

    def test_counts_active_products_per_category_and_currency(self, api: Api) -> None:
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

    def test_counts_the_same_for_everybody(self, api: Api, editor: Caller) -> None:
        assert api.get("products/summary", by=editor).json == api.get("products/summary").json

    def test_asks_the_database_once(self, api: Api, queries: Counter) -> None:
        with queries() as sent:
            first = api.get("products/summary", status=200)
        assert len(sent) == 1

        with queries() as sent:
            second = api.get("products/summary", status=200)
        assert sent == []
        assert second.json == first.json

    def test_of_nothing_is_kept_as_well(
        self, api: Api, app: Flask, editor: Caller, queries: Counter
    ) -> None:
        for item in api.get("products", by=editor).json["items"]:
            api.delete(f"products/{item['id']}", by=editor, status=204)
        assert api.get("products/summary").json == {"items": []}

        with queries() as sent:
            api.get("products/summary", status=200)
        assert sent == []

    def test_shows_every_write_at_once(
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

    def test_is_kept_over_a_write_that_was_refused(
        self, api: Api, editor: Caller, catalogue: dict[str, Any], queries: Counter
    ) -> None:
        api.get("products/summary", status=200)
        api.patch(f"products/{catalogue['id']}", {"stock": -1}, by=editor, status=422)

        with queries() as sent:
            api.get("products/summary", status=200)
        assert sent == []

    def test_does_without_a_cache_that_is_gone(
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

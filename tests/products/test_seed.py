"""`flask seed --products`: sample products, the same on every machine."""

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.extensions import db
from app.products import seed
from app.products.models import Product
from app.users.models import User
from tests import rows
from tests.api import Api, Caller, run_command

MEMBERS = ("sku", "name", "description", "category", "price", "currency", "stock")


def catalogue(app: Flask) -> list[tuple[Any, ...]]:
    """The members of all products, ordered by SKU."""
    columns = [getattr(Product, name) for name in MEMBERS]
    with app.app_context():
        return [tuple(row) for row in db.session.execute(select(*columns).order_by(Product.sku))]


def test_seed_creates_the_requested_number_of_products(app: Flask) -> None:
    run_command(app, "seed", "--products", "25")
    assert rows.count(app, Product) == 25


def test_seeded_products_are_valid(api: Api, app: Flask, editor: Caller) -> None:
    run_command(app, "seed", "--products", "25")
    for item in api.get("products?limit=100", status=200).json["items"]:
        given = {name: item[name] for name in MEMBERS}
        api.patch(f"products/{item['id']}", given, by=editor, status=200)


def test_seeded_products_are_deterministic(app: Flask) -> None:
    run_command(app, "seed", "--products", "3")
    assert [(name, price, stock) for _, name, _, _, price, _, stock in catalogue(app)] == [
        ("White lamp 0", Decimal("14.26"), 65),
        ("Yellow kettle 1", Decimal("21.67"), 15),
        ("Blue mug 2", Decimal("28.81"), 21),
    ]


def test_repeated_seed_changes_nothing(app: Flask) -> None:
    run_command(app, "seed", "--products", "10")
    once, ids = catalogue(app), rows.read(app, Product.id)
    run_command(app, "seed", "--products", "10")
    assert catalogue(app) == once
    assert rows.read(app, Product.id) == ids


def test_seed_adds_missing_products(app: Flask) -> None:
    run_command(app, "seed", "--products", "20")
    whole = catalogue(app)
    rows.remove(app, Product, sku="SEED-0000003")
    run_command(app, "seed", "--products", "10")
    run_command(app, "seed", "--products", "20")
    assert catalogue(app) == whole


def test_seed_keeps_changed_products(app: Flask) -> None:
    run_command(app, "seed", "--products", "2")
    [mug] = rows.read(app, Product.id, sku="SEED-0000001")
    rows.change(app, Product, mug, sku="seed-0000001", name="My own")
    run_command(app, "seed", "--products", "4")
    assert rows.read(app, Product.name, id=mug) == ["My own"]
    assert rows.count(app, Product) == 4


def test_seed_in_batches_creates_the_same_products(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command(app, "seed", "--products", "7")
    at_a_time = catalogue(app)
    rows.remove(app, Product)
    monkeypatch.setattr(seed, "BATCH_ROWS", 3)
    run_command(app, "seed", "--products", "7")
    assert catalogue(app) == at_a_time


def test_seed_invalidates_the_product_summary(api: Api, app: Flask) -> None:
    assert api.get("products/summary").json["items"] == []
    run_command(app, "seed", "--products", "5")
    counts = [item["count"] for item in api.get("products/summary").json["items"]]
    assert sum(counts) == 5


def test_seed_without_options_creates_nothing(app: Flask) -> None:
    run_command(app, "seed")
    assert rows.count(app, Product) == rows.count(app, User) == 0

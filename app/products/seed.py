"""Sample products: the same catalogue on every machine."""

import random
from decimal import Decimal
from typing import Any

import click
from sqlalchemy import func, insert, select

from app.cli import seeder
from app.extensions import db
from app.products.models import Product
from app.products.service import invalidate_summary

BATCH_ROWS = 2_000
DEMO_ROWS = 50


@seeder(
    click.Option(["--products"], default=0, metavar="N", help="Add the first N sample products.")
)
def seed_products(*, demo: bool, products: int) -> None:
    """Add the missing ones of the first N sample products; at least 50 with `--demo`."""
    number = max(products, DEMO_ROWS) if demo else products
    sku = func.upper(Product.sku)
    existing = set(db.session.scalars(select(sku).where(sku.like("SEED-%"))))
    missing = [n for n in range(number) if sample_sku(n) not in existing]
    with click.progressbar(length=len(missing), label="Products") as bar:
        for start in range(0, len(missing), BATCH_ROWS):
            batch = missing[start : start + BATCH_ROWS]
            db.session.connection().execute(insert(Product), [sample_product(n) for n in batch])
            db.session.commit()
            bar.update(len(batch))
    invalidate_summary()


def sample_sku(number: int) -> str:
    """Return the SKU of a sample product."""
    return f"SEED-{number:07d}"


def sample_product(number: int) -> dict[str, Any]:
    """Return the columns of a sample product, which depend only on its number."""
    rng = random.Random(number)  # noqa: S311 - reproducible on purpose
    category, thing = rng.choice(
        [("kitchen", "mug"), ("kitchen", "kettle"), ("garden", "spade"), ("office", "lamp")]
    )
    colour = rng.choice(["blue", "green", "red", "white", "yellow"])
    return {
        "sku": sample_sku(number),
        "name": f"{colour.capitalize()} {thing} {number}",
        "description": f"A {colour} {thing} for the {category}.",
        "category": category,
        "price": Decimal(rng.randrange(100, 20_000)) / 100,
        "currency": rng.choice(["EUR", "USD"]),
        "stock": rng.randrange(100),
    }

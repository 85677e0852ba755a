"""The demo articles."""

import random
from decimal import Decimal
from typing import Any

import click
from sqlalchemy import func, insert, select

from app.cli import seeder
from app.extensions import db
from tests.articles.models import Article


@seeder(click.Option(["--articles"], default=0, help="The number of articles."))
def seed_articles(*, demo: bool, articles: int) -> None:
    """Add the missing ones of so many articles; at least fifty with `--demo`."""
    existing = db.session.scalar(select(func.count()).select_from(Article)) or 0
    missing = range(existing, max(articles, 50) if demo else articles)
    if numbered := [sample_article(n) for n in missing]:
        db.session.execute(insert(Article), numbered)
        db.session.commit()


def sample_sku(number: int) -> str:
    """Return the SKU of a sample article."""
    return f"SEED-{number:07d}"


def sample_article(number: int) -> dict[str, Any]:
    """Return the columns of a sample article, which depend only on its number."""
    rng = random.Random(number)
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

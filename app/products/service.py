"""The summary of the catalogue: one aggregate over all active products, cached."""

from typing import Any

from sqlalchemy import func, select

from app.kit import database
from app.kit.caching import cached, forget
from app.products.models import Product
from app.products.schemas import LARGEST_SUMMARY

_KEY = "products-summary"
_SECONDS = 60  # bounds what a write that commits during the computation can leave stale

_SUMMARY = (
    select(
        Product.category,
        Product.currency,
        func.count().label("count"),
        func.sum(Product.stock).label("stock"),
        func.min(Product.price).label("price_min"),
        func.max(Product.price).label("price_max"),
    )
    .where(Product.is_active)
    .group_by(Product.category, Product.currency)
    .order_by(Product.category, Product.currency)
    .limit(LARGEST_SUMMARY)
)


def summary() -> list[dict[str, Any]]:
    """Per category and currency: how many products, their stock, the range of their prices."""
    found: list[dict[str, Any]] = cached(_KEY, _SECONDS, _summarise)
    return found


def forget_summary() -> None:
    """Drop the cached summary; called after every write to the catalogue."""
    forget(_KEY)


def _summarise() -> list[dict[str, Any]]:
    return [row._asdict() for row in database.read(_SUMMARY, {})]

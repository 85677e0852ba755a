"""The summary of the catalogue: one aggregate over all active products, cached."""

from typing import Any

from sqlalchemy import func, select

from app.core.database import execute
from app.core.web.cache import get_or_compute, invalidate
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
    found: list[dict[str, Any]] = get_or_compute(_KEY, _SECONDS, _compute_summary)
    return found


def invalidate_summary() -> None:
    """Drop the cached summary; called after every write to the catalogue."""
    invalidate(_KEY)


def _compute_summary() -> list[dict[str, Any]]:
    return [row._asdict() for row in execute.fetch_autocommit(_SUMMARY, {})]

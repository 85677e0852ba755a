"""The cached summary of all active products."""

from typing import Any

from sqlalchemy import func, select

from app.core.database import execute
from app.core.web.cache import get_or_compute, invalidate
from app.products.models import Product
from app.products.schemas import MAX_SUMMARY_ITEMS

_CACHE_KEY = "products-summary"
# Bounds how long a summary can be stale if a write commits while it is computed:
# docs/decisions.md#51-summary-cache
_CACHE_SECONDS = 60

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
    .limit(MAX_SUMMARY_ITEMS)
)


def read_summary() -> list[dict[str, Any]]:
    """Return number, stock and price range of the products by category and currency."""
    summary: list[dict[str, Any]] = get_or_compute(_CACHE_KEY, _CACHE_SECONDS, _compute_summary)
    return summary


def invalidate_summary() -> None:
    """Delete the cached summary; called after every write of products."""
    invalidate(_CACHE_KEY)


def _compute_summary() -> list[dict[str, Any]]:
    return [row._asdict() for row in execute.fetch_autocommit(_SUMMARY, {})]

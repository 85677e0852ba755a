"""The cached summary of all active articles."""

from typing import Any

from sqlalchemy import func, select

from app.core.database import execute
from app.core.web.cache import get_or_compute, invalidate
from tests.articles.models import Article
from tests.articles.schemas import MAX_SUMMARY_ITEMS

_CACHE_KEY = "articles-summary"
# Bounds how long a summary can be stale if a write commits while it is computed:
# docs/decisions.md#51-summary-cache
_CACHE_SECONDS = 60

_SUMMARY = (
    select(
        Article.category,
        Article.currency,
        func.count().label("count"),
        func.sum(Article.stock).label("stock"),
        func.min(Article.price).label("price_min"),
        func.max(Article.price).label("price_max"),
    )
    .where(Article.is_active)
    .group_by(Article.category, Article.currency)
    .order_by(Article.category, Article.currency)
    .limit(MAX_SUMMARY_ITEMS)
)


def read_summary() -> list[dict[str, Any]]:
    """Return number, stock and price range of the articles by category and currency."""
    summary: list[dict[str, Any]] = get_or_compute(_CACHE_KEY, _CACHE_SECONDS, _compute_summary)
    return summary


def invalidate_summary() -> None:
    """Delete the cached summary; called after every write of articles."""
    invalidate(_CACHE_KEY)


def _compute_summary() -> list[dict[str, Any]]:
    return [row._asdict() for row in execute.fetch_autocommit(_SUMMARY, {})]

"""Routes of articles: public to read, for editors to write."""

from typing import Any
from uuid import UUID

from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import current_caller, permission, public
from tests.articles import service
from tests.articles.models import Article
from tests.articles.schemas import ArticleQuery, ArticleSchema, PriceRangesSchema

articles = Blueprint("articles", __name__, url_prefix="/api/v1/articles", description="Articles.")


@articles.get("", access=public)
@articles.paginated(ArticleSchema, ArticleQuery)
def list_articles() -> ScopedSelect:
    """List articles."""
    return Article.visible_to(current_caller)


@articles.post("", access=permission("articles:write"))
@articles.body(ArticleSchema)
@articles.creates(ArticleSchema)
@articles.error(409, "Another article has this SKU.")
def create_article(data: dict[str, Any]) -> Article:
    """Create an article."""
    return Article(**data)


@articles.post("/batch", access=permission("articles:write"))
@articles.batch(ArticleSchema)
def batch_articles(data: dict[str, Any]) -> Batch:
    """Create, update and delete articles."""
    return Batch(data["items"], create_article, update_article, delete_article)


@articles.get("/summary", access=public)
@articles.response(200, PriceRangesSchema)
def read_price_ranges() -> dict[str, Any]:
    """Summarise articles by category and currency."""
    return {"items": service.read_summary()}


@articles.get("/export", access=permission("articles:read"), rate_limit="BULK_RATE_LIMIT")
@articles.exports(ArticleSchema, ArticleQuery, exclude=("id", "version"))
def export_articles() -> ScopedSelect:
    """Export articles."""
    return Article.visible_to(current_caller)


@articles.get("/<uuid:article_id>", access=public)
@articles.returns(ArticleSchema)
def read_article(article_id: UUID) -> ScopedSelect:
    """Read an article."""
    return Article.visible_to(current_caller)


@articles.patch("/<uuid:article_id>", access=permission("articles:write"))
@articles.body(ArticleSchema, partial=True)
@articles.updates(ArticleSchema)
def update_article(data: dict[str, Any], article_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change an article."""
    return Article.visible_to(current_caller), data


@articles.delete("/<uuid:article_id>", access=permission("articles:write"))
@articles.deletes(ArticleSchema)
def delete_article(article_id: UUID) -> ScopedSelect:
    """Delete an article."""
    return Article.visible_to(current_caller)

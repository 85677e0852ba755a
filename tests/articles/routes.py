"""Routes of articles: public to read, for editors to write."""

from typing import Any
from uuid import UUID

from app.core.files.uploads import Upload
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import Schema
from app.core.schemas.fields import Boolean
from app.core.security.authorization import current_caller, permission, public
from app.jobs.models import Job
from app.jobs.runner import create_job
from app.jobs.schemas import JobSchema
from tests.articles import service
from tests.articles.models import Article
from tests.articles.schemas import ArticleQuery, ArticleSchema, PriceRangesSchema

FILE_EXAMPLES = {
    "text/csv": "sku,name,category,price,currency\r\nMUG-0001,Enamel mug,kitchen,12.50,EUR\r\n",
    "application/x-ndjson": '{"sku": "MUG-0001", "name": "Enamel mug", "category": "kitchen", '
    '"price": "12.50", "currency": "EUR"}\n',
}
articles = Blueprint("articles", __name__, url_prefix="/api/v1/articles", description="Articles.")


class ImportQuery(Schema):
    """Options of an import."""

    dry_run = Boolean(load_default=False)


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


@articles.post("/imports", access=permission("articles:write"), rate_limit="BULK_RATE_LIMIT")
@articles.accepts_file(FILE_EXAMPLES, "MAX_UPLOAD_LENGTH", query=ImportQuery)
@articles.creates(JobSchema, location_prefix="/api/v1/jobs")
def import_articles(file: Upload, options: dict[str, Any]) -> Job:
    """Import articles from a file."""
    options |= {"media_type": file.media_type, "coding": file.coding}
    return create_job("articles.import", options, owner_id=current_caller.id, job_id=file.id)


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

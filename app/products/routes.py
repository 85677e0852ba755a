"""Products: anyone reads the active ones, editors and admins write."""

from typing import Any
from uuid import UUID

from app.jobs.models import Job
from app.jobs.schemas import JobSchema
from app.jobs.service import ask_for
from app.kit import current, records
from app.kit.access import anyone, caller, can
from app.kit.blueprint import Blueprint
from app.kit.rows import Visible
from app.kit.service import Response
from app.kit.uploads import Upload
from app.products import service
from app.products.imports import ImportQuery
from app.products.models import Product
from app.products.schemas import ProductQuery, ProductSchema, SummarySchema

products = Blueprint("products", __name__, url_prefix="/products", description="The catalogue.")


@products.get("", access=anyone)
@products.page(ProductSchema, ProductQuery)
def list_products() -> Visible:
    """List products."""
    return Product.visible_to(caller)


@products.post("", access=can("products:write"))
@products.body(ProductSchema)
@products.creates(ProductSchema)
@products.refuses(409, "Another product has this SKU.")
def create_product(data: dict[str, Any]) -> Product:
    """Create a product."""
    return Product(**data)


@products.get("/summary", access=anyone)
@products.answers(200, SummarySchema)
def read_summary() -> dict[str, Any]:
    """Summarise the catalogue per category and currency: the first thousand of them."""
    return {"items": service.summary()}


@products.get("/export", access=can("products:read"), limit="BULK_RATE_LIMIT")
@products.export(ProductSchema, ProductQuery, without=("id", "version"))
def export_products() -> Visible:
    """Export products, as CSV or NDJSON.

    What the list shows, in one stream; an import takes it back.
    """
    return Product.visible_to(caller)


@products.post("/imports", access=can("products:write"), limit="BULK_RATE_LIMIT")
@products.upload(records.EXAMPLE, ImportQuery)
@products.creates(JobSchema, at="/api/v1/jobs")
def import_products(file: Upload, options: dict[str, Any]) -> Job:
    """Import a file of products, CSV or NDJSON, by a job whose progress can be followed.

    Each line is taken as `POST /products` takes it; a product with the same SKU is changed. Lines
    that are not valid are listed at the job's `/problems`.
    """
    options |= {"media_type": file.media_type, "coding": file.coding}
    return ask_for("products.import", options, owner_id=caller.id, job_id=file.id)


@products.get("/<uuid:product_id>", access=anyone)
@products.item(ProductSchema)
def read_product(product_id: UUID) -> Visible:
    """Read a product."""
    return Product.visible_to(caller)


@products.patch("/<uuid:product_id>", access=can("products:write"))
@products.body(ProductSchema, partial=True)
@products.changes(ProductSchema)
@products.refuses(409, "Another product has this SKU.")
def change_product(data: dict[str, Any], product_id: UUID) -> tuple[Visible, dict[str, Any]]:
    """Change a product."""
    return Product.visible_to(caller), data


@products.delete("/<uuid:product_id>", access=can("products:write"))
@products.deletes(ProductSchema)
def delete_product(product_id: UUID) -> Visible:
    """Delete a product."""
    return Product.visible_to(caller)


@products.after_request  # type: ignore[untyped-decorator]
def drop_summary(response: Response) -> Response:
    """Once a write is committed, the cached summary is out of date."""
    if current.request().method not in ("GET", "HEAD", "OPTIONS") and response.status_code < 300:
        service.forget_summary()
    return response

"""Routes of products: active ones are public, editors and admins write."""

from typing import Any
from uuid import UUID

from flask import request

from app.core.files.uploads import Upload
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import current_caller, permission, public
from app.core.web.flask_app import Response
from app.jobs.models import Job
from app.jobs.runner import create_job
from app.jobs.schemas import JobSchema
from app.products import service
from app.products.imports import FILE_EXAMPLES, ImportQuery
from app.products.models import Product
from app.products.schemas import ProductQuery, ProductSchema, SummarySchema

products = Blueprint(
    "products", __name__, url_prefix="/api/v1/products", description="The catalogue."
)


@products.get("", access=public)
@products.paginated(ProductSchema, ProductQuery)
def list_products() -> ScopedSelect:
    """List products."""
    return Product.visible_to(current_caller)


@products.post("", access=permission("products:write"))
@products.body(ProductSchema)
@products.creates(ProductSchema)
@products.error(409, "Another product has this SKU.")
def create_product(data: dict[str, Any]) -> Product:
    """Create a product."""
    return Product(**data)


@products.get("/summary", access=public)
@products.response(200, SummarySchema)
@products.queries(1)
def read_summary() -> dict[str, Any]:
    """Summarise products by category and currency, up to 1000 groups."""
    return {"items": service.read_summary()}


@products.get("/export", access=permission("products:read"), rate_limit="BULK_RATE_LIMIT")
@products.exports(ProductSchema, ProductQuery, exclude=("id", "version"))
def export_products() -> ScopedSelect:
    """Export products as CSV or NDJSON.

    The stream has all products of the list, in a format that the import accepts.
    """
    return Product.visible_to(current_caller)


@products.post("/imports", access=permission("products:write"), rate_limit="BULK_RATE_LIMIT")
@products.accepts_file(FILE_EXAMPLES, "MAX_UPLOAD_LENGTH", query=ImportQuery)
@products.creates(JobSchema, location_prefix="/api/v1/jobs")
def import_products(file: Upload, options: dict[str, Any]) -> Job:
    """Import products from a CSV or NDJSON file.

    A job imports the file. Each line is validated like the body of `POST /products`; a product with
    the same SKU is updated. The job's `/problems` lists the invalid lines.
    """
    options |= {"media_type": file.media_type, "coding": file.coding}
    return create_job("products.import", options, owner_id=current_caller.id, job_id=file.id)


@products.get("/<uuid:product_id>", access=public)
@products.returns(ProductSchema)
def read_product(product_id: UUID) -> ScopedSelect:
    """Read a product."""
    return Product.visible_to(current_caller)


@products.patch("/<uuid:product_id>", access=permission("products:write"))
@products.body(ProductSchema, partial=True)
@products.updates(ProductSchema)
@products.error(409, "Another product has this SKU.")
def update_product(data: dict[str, Any], product_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Update a product."""
    return Product.visible_to(current_caller), data


@products.delete("/<uuid:product_id>", access=permission("products:write"))
@products.deletes(ProductSchema)
def delete_product(product_id: UUID) -> ScopedSelect:
    """Delete a product."""
    return Product.visible_to(current_caller)


@products.after_request
def invalidate_summary_after_write(response: Response) -> Response:
    """Invalidate the cached summary after a committed write."""
    if request.method not in ("GET", "HEAD", "OPTIONS") and response.status_code < 300:
        service.invalidate_summary()
    return response

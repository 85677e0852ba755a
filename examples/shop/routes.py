"""Routes of the shop."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from app.core.database.types import now
from app.core.files.file_mixin import FileQuery, FileSchema
from app.core.files.uploads import Upload
from app.core.resources.batch import Batch
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller, permission
from app.core.web.problems import Problem
from app.products.models import Product
from app.products.schemas import ProductSchema
from app.tasks.models import Task
from app.tasks.schemas import TaskSchema
from examples.shop import models, schemas
from examples.shop.models import Attachment, Customer, Order, Review, Tag

Data = dict[str, Any]
Changes = tuple[ScopedSelect, Data]
READ, OWN = permission("reviews:read"), permission("reviews:own")
shop = Blueprint("shop", __name__, url_prefix="/api/v1", description="A shop.")


@shop.get("/customers", access=authenticated)
@shop.paginated(
    schemas.CustomerSchema, Sort({"created_at": Customer.created_at}, default="created_at")
)
def list_customers() -> ScopedSelect:
    """List the caller's customers."""
    return Customer.visible_to(current_caller)


@shop.post("/customers", access=authenticated)
@shop.body(schemas.CustomerSchema)
@shop.creates(schemas.CustomerSchema)
def create_customer(data: Data) -> Customer:
    """Create a customer."""
    return Customer(owner_id=current_caller.id, **data)


@shop.get("/customers/<uuid:customer_id>", access=authenticated)
@shop.returns(schemas.CustomerSchema)
def read_customer(customer_id: UUID) -> ScopedSelect:
    """Read a customer."""
    return Customer.visible_to(current_caller)


@shop.delete("/customers/<uuid:customer_id>", access=authenticated)
@shop.deletes(schemas.CustomerSchema)
def delete_customer(customer_id: UUID) -> ScopedSelect:
    """Delete a customer without orders."""
    return Customer.visible_to(current_caller)


@shop.get("/orders", access=authenticated)
@shop.paginated(schemas.OrderSchema, schemas.OrderQuery)
def list_orders() -> ScopedSelect:
    """List the caller's orders."""
    return Order.visible_to(current_caller)


@shop.get("/orders/export", access=authenticated)
@shop.exports(schemas.OrderSchema, schemas.OrderQuery)
def export_orders() -> ScopedSelect:
    """Export the caller's orders."""
    return Order.visible_to(current_caller)


@shop.post("/orders", access=authenticated)
@shop.body(schemas.OrderSchema)
@shop.creates(schemas.OrderSchema)
def create_order(data: Data) -> Order:
    """Record an order."""
    return Order(owner_id=current_caller.id, **data)


@shop.get("/orders/<uuid:order_id>", access=authenticated)
@shop.returns(schemas.OrderSchema)
def read_order(order_id: UUID) -> ScopedSelect:
    """Read an order."""
    return Order.visible_to(current_caller)


@shop.patch("/orders/<uuid:order_id>", access=authenticated)
@shop.body(schemas.OrderSchema, partial=True)
@shop.updates(schemas.OrderSchema)
def update_order(data: Data, order_id: UUID) -> Changes:
    """Update an open order."""
    return models.OPEN, data


@shop.delete("/orders/<uuid:order_id>", access=authenticated)
@shop.deletes(schemas.OrderSchema)
def delete_order(order_id: UUID) -> ScopedSelect:
    """Delete an open order."""
    return models.OPEN


@shop.post("/orders/batch", access=authenticated)
@shop.batch(schemas.OrderSchema)
def batch_orders(data: Data) -> Batch:
    """Create, update and delete up to a hundred orders: all of them, or none."""
    return Batch(data["items"], create_order, update_order, delete_order)


@shop.post("/orders/<uuid:order_id>/pay", access=authenticated)
@shop.action(schemas.OrderSchema, Order.visible_to, audit="pay")
@shop.error(409, "The order is not open.")
def pay_order(order: Row[Any], order_id: UUID) -> Data:
    """Record that an order is paid."""
    if order.state != "open":
        raise Problem("conflict", f"The order is {order.state}.")
    return {"state": "paid", "paid_at": now()}


@shop.post("/orders/<uuid:order_id>/cancel", access=authenticated)
@shop.action(schemas.OrderSchema, Order.visible_to, audit="cancel")
@shop.error(409, "The order is not open.")
def cancel_order(order: Row[Any], order_id: UUID) -> Data:
    """Cancel an order that is not paid."""
    if order.state != "open":
        raise Problem("conflict", f"The order is {order.state}.")
    return {"state": "cancelled"}


@shop.get("/products/<uuid:product_id>/rating", access=READ)
@shop.returns(schemas.RatingSchema)
def read_rating(product_id: UUID) -> ScopedSelect:
    """Read what the reviews of a product say."""
    return models.RATED


@shop.get("/products/<uuid:product_id>/reviews", access=READ)
@shop.paginated(
    schemas.ReviewSchema,
    Sort({"created_at": Review.created_at}, default="-created_at"),
    parent=ProductSchema,
)
def list_reviews(product_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the reviews of a product."""
    return models.REVIEWS, Product.visible_to(current_caller)


@shop.post("/products/<uuid:product_id>/reviews", access=OWN)
@shop.body(schemas.ReviewSchema)
@shop.creates(schemas.ReviewSchema, parent=ProductSchema)
def create_review(data: Data, product_id: UUID) -> tuple[Review, ScopedSelect]:
    """Review a product."""
    review = Review(product_id=product_id, author_id=current_caller.id, **data)
    return review, Product.visible_to(current_caller)


@shop.get("/products/<uuid:product_id>/reviews/<uuid:review_id>", access=READ)
@shop.returns(schemas.ReviewSchema)
def read_review(product_id: UUID, review_id: UUID) -> ScopedSelect:
    """Read a review."""
    return models.REVIEWS


@shop.patch("/products/<uuid:product_id>/reviews/<uuid:review_id>", access=OWN)
@shop.body(schemas.ReviewSchema, partial=True)
@shop.updates(schemas.ReviewSchema)
def update_review(data: Data, product_id: UUID, review_id: UUID) -> Changes:
    """Update a review of the caller."""
    return models.OWN_REVIEWS, data


@shop.get("/tags", access=authenticated)
@shop.paginated(schemas.TagSchema, schemas.TagQuery)
def list_tags() -> ScopedSelect:
    """List the caller's tags, of one task or all."""
    return Tag.visible_to(current_caller)


@shop.post("/tags", access=authenticated)
@shop.body(schemas.TagSchema)
@shop.creates(schemas.TagSchema)
def create_tag(data: Data) -> Tag:
    """Create a tag."""
    return Tag(owner_id=current_caller.id, **data)


@shop.get("/tags/<uuid:tag_id>", access=authenticated)
@shop.returns(schemas.TagSchema)
def read_tag(tag_id: UUID) -> ScopedSelect:
    """Read a tag."""
    return Tag.visible_to(current_caller)


@shop.patch("/tags/<uuid:tag_id>", access=authenticated)
@shop.body(schemas.TagSchema, partial=True)
@shop.updates(schemas.TagSchema)
def update_tag(data: Data, tag_id: UUID) -> Changes:
    """Rename a tag, or replace its tasks."""
    return Tag.visible_to(current_caller), data


@shop.post("/tasks/<uuid:task_id>/attachments", access=authenticated)
@shop.accepts_file({"application/pdf": "%PDF-1.7", "image/*": "GIF89a"}, 1_000_000, query=FileQuery)
@shop.creates(FileSchema, parent=TaskSchema)
def create_attachment(file: Upload, query: Data, task_id: UUID) -> tuple[Attachment, ScopedSelect]:
    """Attach a file to a task."""
    attachment = Attachment(task_id=task_id, **file.row_values(), **query)
    return attachment, Task.visible_to(current_caller)


@shop.get("/tasks/<uuid:task_id>/attachments/<uuid:attachment_id>", access=authenticated)
@shop.returns(FileSchema)
def read_attachment(task_id: UUID, attachment_id: UUID) -> ScopedSelect:
    """Read what is known about a file."""
    return models.FILES


@shop.get("/tasks/<uuid:task_id>/attachments/<uuid:attachment_id>/file", access=authenticated)
@shop.returns_file()
def download_attachment(task_id: UUID, attachment_id: UUID) -> ScopedSelect:
    """Download a file."""
    return models.FILES


@shop.delete("/tasks/<uuid:task_id>/attachments/<uuid:attachment_id>", access=authenticated)
@shop.deletes(FileSchema)
def delete_attachment(task_id: UUID, attachment_id: UUID) -> ScopedSelect:
    """Delete a file."""
    return models.FILES

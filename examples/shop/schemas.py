"""The JSON of the shop, and the query parameters of its lists."""

from sqlalchemy import select

from app.core.resources.child_rows import Rows
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.resources.references import Reference
from app.core.schemas import fields
from app.core.schemas.base import ResourceSchema, Schema
from app.products.models import Product
from app.tasks.models import Task
from examples.shop.models import Customer, Order, OrderItem, Tag, TaggedTask

STATES = ("open", "paid", "cancelled")


class CustomerSchema(ResourceSchema):
    """A customer."""

    name = fields.String(min_length=1, max_length=200, required=True, metadata={"example": "Ada"})
    email = fields.Email(required=True, metadata={"example": "ada-1@example.com"})


class OrderItemSchema(Schema):
    """A line of an order. The price is that of one, in the smallest unit of the currency."""

    product_id = Reference(Product, required=True)
    quantity = fields.Integer(min=1, max=1000, required=True, metadata={"example": 2})
    price = fields.Integer(min=0, max=10**6, required=True, metadata={"example": 1250})


class OrderSchema(ResourceSchema):
    """An order."""

    customer_id = Reference(Customer, required=True)
    currency = fields.Currency(required=True, metadata={"example": "EUR"})
    items = Rows(OrderItemSchema, OrderItem.order_id, max_length=100)
    total = fields.Integer(min=0, max=10**11, dump_only=True)
    state = fields.Enum(STATES, dump_only=True)
    paid_at = fields.DateTime(dump_only=True, allow_none=True)


class OrderQuery(PageQuery):
    """The list of orders."""

    state = filter_by(fields.Enum(STATES), lambda state: Order.state == state)
    sort = Sort({"created_at": Order.created_at}, default="-created_at")


class ReviewSchema(ResourceSchema):
    """A review of a product."""

    author_id = fields.UUID(dump_only=True)
    rating = fields.Integer(min=1, max=5, required=True, metadata={"example": 4})
    text = fields.String(max_length=9000, allow_none=True, metadata={"example": "Well made."})


class RatingSchema(ResourceSchema):
    """What the reviews of a product say; the average has four decimals."""

    average = fields.MoneyAmount(dump_only=True, allow_none=True)
    review_count = fields.Integer(min=0, max=2**31, dump_only=True)


class TaggedTaskSchema(Schema):
    """A task that has a tag."""

    task_id = Reference(Task, required=True)


class TagSchema(ResourceSchema):
    """A tag, and the tasks that have it."""

    name = fields.String(min_length=1, max_length=50, required=True, metadata={"example": "Home"})
    tasks = Rows(TaggedTaskSchema, TaggedTask.tag_id, max_length=100)


class TagQuery(PageQuery):
    """The list of tags."""

    task_id = filter_by(
        fields.UUID(),
        lambda task_id: Tag.id.in_(select(TaggedTask.tag_id).where(TaggedTask.task_id == task_id)),
    )
    sort = Sort({"created_at": Tag.created_at}, default="created_at")

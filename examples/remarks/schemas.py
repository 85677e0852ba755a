"""The JSON of remarks, and the query parameters of their list."""

from app.core.resources.filters import PageQuery, Sort
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from examples.remarks.models import Remark


class RemarkSchema(ResourceSchema):
    """A remark."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Buy milk"})


class RemarkQuery(PageQuery):
    """The query parameters of the list."""

    sort = Sort({"created_at": Remark.created_at}, default="-created_at")

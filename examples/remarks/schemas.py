"""The JSON of remarks."""

from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String


class RemarkSchema(ResourceSchema):
    """A remark."""

    text = String(min_length=1, max_length=10_000, required=True, metadata={"example": "Buy milk"})

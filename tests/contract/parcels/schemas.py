"""The JSON of parcels."""

from app.core.resources.filters import PageQuery, Sort
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Enum, String
from tests.contract.parcels.models import Parcel

CARRIERS = ["post", "rail"]


class ParcelSchema(ResourceSchema):
    """A parcel."""

    content = String(max_length=100, required=True, metadata={"example": "Books"})
    state = Enum(["packed", "sent"], dump_only=True)
    carrier = Enum(CARRIERS, dump_only=True, allow_none=True)


class ParcelQuery(PageQuery):
    """The list of parcels."""

    sort = Sort({"created_at": Parcel.created_at}, default="-created_at")


class SendingSchema(Schema):
    """How a parcel is sent."""

    carrier = Enum(CARRIERS, required=True)

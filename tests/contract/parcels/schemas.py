"""The JSON of parcels and labels."""

from app.core.files.file_mixin import FileSchema
from app.core.resources.child_rows import Rows
from app.core.resources.references import Reference
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Enum, Integer, String
from tests.contract.parcels.models import Parcel, Postmark

CARRIERS = ["post", "rail"]


class ParcelSchema(ResourceSchema):
    """A parcel."""

    content = String(max_length=100, required=True, metadata={"example": "Books"})
    state = Enum(["packed", "sent", "delivered"], dump_only=True)
    carrier = Enum(CARRIERS, dump_only=True, allow_none=True)
    stamp_count = Integer(min=0, max=2**31, dump_only=True)


class SendingSchema(Schema):
    """How a parcel is sent."""

    carrier = Enum(CARRIERS, required=True)


class PostmarkSchema(Schema):
    """A postmark on a stamp."""

    place = String(max_length=50, required=True, metadata={"example": "Linz"})


class StampSchema(ResourceSchema):
    """A stamp on a parcel."""

    price = Integer(min=1, max=1000, required=True, metadata={"example": 90})
    taken_from_id = Reference(
        Parcel, allow_none=True, metadata={"example": "019a9f3c-7b1e-7c58-8a52-3f2b6d1c9e07"}
    )
    postmarks = Rows(
        PostmarkSchema,
        Postmark.stamp_id,
        max_length=5,
        metadata={"example": [{"place": "Linz"}, {"place": "Graz"}]},
    )


class ParcelLabelSchema(FileSchema):
    """A label."""

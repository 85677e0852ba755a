"""Routes of labels: files that are private to their owner."""

from typing import Any
from uuid import UUID

from app.core.files.file_mixin import FileQuery
from app.core.files.uploads import Upload
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller
from tests.contract.parcels.models import ParcelLabel
from tests.contract.parcels.schemas import ParcelLabelSchema

parcel_labels = Blueprint(
    "parcel_labels", __name__, url_prefix="/api/v1/parcel-labels", description="Labels."
)
MAX_BYTES = 20 * 2**20


@parcel_labels.get("", access=authenticated)
@parcel_labels.paginated(
    ParcelLabelSchema, Sort({"created_at": ParcelLabel.created_at}, default="-created_at")
)
def list_parcel_labels() -> ScopedSelect:
    """List the caller's labels."""
    return ParcelLabel.visible_to(current_caller)


@parcel_labels.post("", access=authenticated)
@parcel_labels.accepts_file(
    {"text/plain": "Fragile", "image/*": "GIF89a"}, MAX_BYTES, query=FileQuery
)
@parcel_labels.creates(ParcelLabelSchema)
def create_parcel_label(file: Upload, query: dict[str, Any]) -> ParcelLabel:
    """Store a label."""
    return ParcelLabel(owner_id=current_caller.id, **file.row_values(), **query)


@parcel_labels.get("/<uuid:label_id>", access=authenticated)
@parcel_labels.returns(ParcelLabelSchema)
def read_parcel_label(label_id: UUID) -> ScopedSelect:
    """Read what is known about a label."""
    return ParcelLabel.visible_to(current_caller)


@parcel_labels.delete("/<uuid:label_id>", access=authenticated)
@parcel_labels.deletes(ParcelLabelSchema)
def delete_parcel_label(label_id: UUID) -> ScopedSelect:
    """Delete a label."""
    return ParcelLabel.visible_to(current_caller)


@parcel_labels.get("/<uuid:label_id>/file", access=authenticated)
@parcel_labels.returns_file()
def download_parcel_label(label_id: UUID) -> ScopedSelect:
    """Download a label."""
    return ParcelLabel.visible_to(current_caller)

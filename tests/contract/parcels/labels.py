"""Routes of labels: files that are private to their owner."""

from typing import Any
from uuid import UUID

from app.core.files.file_mixin import FileQuery
from app.core.files.uploads import Upload
from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller
from tests.contract.parcels.models import Label
from tests.contract.parcels.schemas import LabelQuery, LabelSchema

labels = Blueprint("labels", __name__, url_prefix="/api/v1/labels", description="Labels.")
MAX_BYTES = 20 * 2**20


@labels.get("", access=authenticated)
@labels.paginated(LabelSchema, LabelQuery)
def list_labels() -> ScopedSelect:
    """List the caller's labels."""
    return Label.visible_to(current_caller)


@labels.post("", access=authenticated)
@labels.accepts_file({"text/plain": "Fragile", "image/*": "GIF89a"}, MAX_BYTES, query=FileQuery)
@labels.creates(LabelSchema)
def create_label(file: Upload, query: dict[str, Any]) -> Label:
    """Store a label."""
    return Label(owner_id=current_caller.id, **file.row_values(), **query)


@labels.get("/<uuid:label_id>", access=authenticated)
@labels.returns(LabelSchema)
def read_label(label_id: UUID) -> ScopedSelect:
    """Read what is known about a label."""
    return Label.visible_to(current_caller)


@labels.delete("/<uuid:label_id>", access=authenticated)
@labels.deletes(LabelSchema)
def delete_label(label_id: UUID) -> ScopedSelect:
    """Delete a label."""
    return Label.visible_to(current_caller)


@labels.get("/<uuid:label_id>/file", access=authenticated)
@labels.returns_file()
def download_label(label_id: UUID) -> ScopedSelect:
    """Download a label."""
    return Label.visible_to(current_caller)

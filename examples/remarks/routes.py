"""Remarks below a note, which only its owner sees."""

from typing import Any
from uuid import UUID

from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema
from examples.remarks.models import Remark
from examples.remarks.schemas import RemarkSchema

remarks = Blueprint(
    "remarks",
    __name__,
    url_prefix="/api/v1/notes/<uuid:note_id>/remarks",
    description="The remarks of a note.",
)


@remarks.get("", access=authenticated)
@remarks.paginated(
    RemarkSchema, Sort({"created_at": Remark.created_at}, default="-created_at"), parent=NoteSchema
)
def list_remarks(note_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the remarks of a note."""
    return Remark.visible_to(current_caller), Note.visible_to(current_caller)


@remarks.post("", access=authenticated)
@remarks.body(RemarkSchema)
@remarks.creates(RemarkSchema, parent=NoteSchema)
def create_remark(data: dict[str, Any], note_id: UUID) -> tuple[Remark, ScopedSelect]:
    """Create a remark."""
    return Remark(note_id=note_id, **data), Note.visible_to(current_caller)


@remarks.get("/<uuid:remark_id>", access=authenticated)
@remarks.returns(RemarkSchema)
def read_remark(note_id: UUID, remark_id: UUID) -> ScopedSelect:
    """Read a remark."""
    return Remark.visible_to(current_caller)


@remarks.patch("/<uuid:remark_id>", access=authenticated)
@remarks.body(RemarkSchema, partial=True)
@remarks.updates(RemarkSchema)
def update_remark(
    data: dict[str, Any], note_id: UUID, remark_id: UUID
) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a remark."""
    return Remark.visible_to(current_caller), data


@remarks.delete("/<uuid:remark_id>", access=authenticated)
@remarks.deletes(RemarkSchema)
def delete_remark(note_id: UUID, remark_id: UUID) -> ScopedSelect:
    """Delete a remark."""
    return Remark.visible_to(current_caller)

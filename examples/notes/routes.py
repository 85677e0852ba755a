"""Notes: every user has their own and sees no others."""

from typing import Any
from uuid import UUID

from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller
from examples.notes.models import Note
from examples.notes.schemas import NoteSchema

notes = Blueprint("notes", __name__, url_prefix="/api/v1/notes", description="The caller's notes.")


@notes.get("", access=authenticated)
@notes.paginated(NoteSchema, Sort({"created_at": Note.created_at}, default="-created_at"))
def list_notes() -> ScopedSelect:
    """List the caller's notes."""
    return Note.visible_to(current_caller)


@notes.post("", access=authenticated)
@notes.body(NoteSchema)
@notes.creates(NoteSchema)
def create_note(data: dict[str, Any]) -> Note:
    """Create a note."""
    return Note(owner_id=current_caller.id, **data)


@notes.get("/<uuid:note_id>", access=authenticated)
@notes.returns(NoteSchema)
def read_note(note_id: UUID) -> ScopedSelect:
    """Read a note."""
    return Note.visible_to(current_caller)


@notes.patch("/<uuid:note_id>", access=authenticated)
@notes.body(NoteSchema, partial=True)
@notes.updates(NoteSchema)
def update_note(data: dict[str, Any], note_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Change a note."""
    return Note.visible_to(current_caller), data


@notes.delete("/<uuid:note_id>", access=authenticated)
@notes.deletes(NoteSchema)
def delete_note(note_id: UUID) -> ScopedSelect:
    """Delete a note."""
    return Note.visible_to(current_caller)

"""Notes: everybody has their own, and sees no others."""

from typing import Any
from uuid import UUID

from app.kit.access import caller, signed_in
from app.kit.batch import Batch
from app.kit.blueprint import Blueprint
from app.kit.rows import Visible
from examples.notes.models import Note
from examples.notes.schemas import NoteQuery, NoteSchema

notes = Blueprint("notes", __name__, url_prefix="/notes", description="The caller's notes.")


@notes.get("", access=signed_in)
@notes.page(NoteSchema, NoteQuery)
def list_notes() -> Visible:
    """List one's notes."""
    return Note.visible_to(caller)


@notes.post("", access=signed_in)
@notes.body(NoteSchema)
@notes.creates(NoteSchema)
def create_note(data: dict[str, Any]) -> Note:
    """Create a note."""
    return Note(owner_id=caller.id, **data)


@notes.get("/<uuid:note_id>", access=signed_in)
@notes.item(NoteSchema)
def read_note(note_id: UUID) -> Visible:
    """Read a note."""
    return Note.visible_to(caller)


@notes.patch("/<uuid:note_id>", access=signed_in)
@notes.body(NoteSchema, partial=True)
@notes.changes(NoteSchema)
def change_note(data: dict[str, Any], note_id: UUID) -> tuple[Visible, dict[str, Any]]:
    """Change a note."""
    return Note.visible_to(caller), data


@notes.delete("/<uuid:note_id>", access=signed_in)
@notes.deletes(NoteSchema)
def delete_note(note_id: UUID) -> Visible:
    """Delete a note."""
    return Note.visible_to(caller)


@notes.post("/batch", access=signed_in)
@notes.batch(NoteSchema)
def change_notes(data: dict[str, Any]) -> Batch:
    """Create, change and delete notes: all of it, or nothing."""
    return Batch(data["items"], create_note, change_note, delete_note)

"""The note."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, Select, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.access import Caller
from app.kit.model import CALLER_ID, Base, Resource


class Note(Resource, Base):
    """Something its owner wrote down."""

    __tablename__ = "notes"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(Text)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[Note]":
        """The caller's own."""
        return OWN


OWN = select(Note).where(Note.owner_id == CALLER_ID)
Index("ix_notes_owner_id_created_at", Note.owner_id, Note.created_at, Note.id)

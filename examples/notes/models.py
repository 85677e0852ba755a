"""The note."""

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.extensions import Base


class Note(OwnedMixin, Base):
    """A note of its owner."""

    __tablename__ = "notes"
    __table_args__ = (Index("ix_notes_owner_id_created_at", "owner_id", "created_at", "id"),)
    text: Mapped[str] = mapped_column(Text)

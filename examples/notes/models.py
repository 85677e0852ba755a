"""The note."""

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.extensions import Base


class Note(OwnedMixin, Base):
    """Something its owner wrote down."""

    __tablename__ = "notes"

    text: Mapped[str] = mapped_column(Text)


Index("ix_notes_owner_id_created_at", Note.owner_id, Note.created_at, Note.id)

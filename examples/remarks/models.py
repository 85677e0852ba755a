"""The remark."""

from functools import cache
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Select, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import ResourceMixin
from app.core.resources.scoped_query import path_param
from app.core.security.authorization import Caller
from app.extensions import Base
from examples.notes.models import Note


class Remark(ResourceMixin, Base):
    """A remark below a note."""

    __tablename__ = "remarks"
    __table_args__ = (Index("ix_remarks_note_id_created_at", "note_id", "created_at", "id"),)
    note_id: Mapped[UUID] = mapped_column(ForeignKey(Note.id, ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(Text)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[Remark]":
        """The rows below the note of the path, if the caller may see that."""
        return _below(Note.visible_to(caller))


@cache  # a statement is compiled once for each select object
def _below(visible: Select[Note]) -> Select[Remark]:
    parents = visible.where(Note.id == path_param("note_id")).with_only_columns(Note.id)
    return select(Remark).where(Remark.note_id.in_(parents))

"""The place."""

from sqlalchemy import Index, Select, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import ResourceMixin
from app.core.security.authorization import Caller
from app.extensions import Base


class Place(ResourceMixin, Base):
    """A place, the same for all callers."""

    __tablename__ = "places"
    __table_args__ = (Index("ix_places_created_at", "created_at", "id"),)
    text: Mapped[str] = mapped_column(Text)

    @staticmethod
    def visible_to(_caller: Caller) -> "Select[Place]":
        """The rows that the caller may see: all of them."""
        return _ALL


_ALL = select(Place)

"""The parcel."""

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.extensions import Base


class Parcel(OwnedMixin, Base):
    """A parcel, which its owner sends once."""

    __tablename__ = "parcels"
    __table_args__ = (Index("ix_parcels_owner_id_created_at", "owner_id", "created_at", "id"),)

    content: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="packed")
    carrier: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)  # not in responses

"""Parcels, the stamps on them, and their labels."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Select, Text, Uuid, func, select
from sqlalchemy.orm import Mapped, column_property, mapped_column

from app.core.database.ids import uuid7
from app.core.database.mixins import CALLER_ID_PARAM, OwnedMixin, ResourceMixin
from app.core.database.types import correlated
from app.core.files.file_mixin import FileMixin
from app.core.resources.scoped_query import path_param
from app.extensions import Base


class Parcel(OwnedMixin, Base):
    """A parcel, which its owner sends once."""

    __tablename__ = "parcels"
    __table_args__ = (Index("ix_parcels_owner_id_created_at", "owner_id", "created_at", "id"),)

    content: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="packed")
    carrier: Mapped[str | None] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)  # not in responses


class Stamp(ResourceMixin, Base):
    """A stamp on a parcel, which may have been taken from another one."""

    __tablename__ = "stamps"
    __table_args__ = (Index("ix_stamps_parcel_id_created_at", "parcel_id", "created_at", "id"),)

    parcel_id: Mapped[UUID] = mapped_column(ForeignKey(Parcel.id, ondelete="CASCADE"))
    price: Mapped[int]
    taken_from_id: Mapped[UUID | None] = mapped_column(ForeignKey(Parcel.id, ondelete="SET NULL"))
    postmarks: ClassVar[Any] = ()


class Postmark(Base):
    """A postmark on a stamp."""

    __tablename__ = "postmarks"
    __table_args__ = (Index("ix_postmarks_stamp_id", "stamp_id"),)

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7)
    stamp_id: Mapped[UUID] = mapped_column(ForeignKey(Stamp.id, ondelete="CASCADE"))
    position: Mapped[int]
    place: Mapped[str] = mapped_column(Text)


_COUNT = select(func.count(Stamp.id)).where(Stamp.parcel_id == Parcel.id)
Parcel.stamp_count = column_property(correlated(_COUNT, Parcel.__table__), deferred=True)
OWN_STAMPS: "Select[Stamp]" = (
    select(Stamp)
    .join(Parcel, Parcel.id == Stamp.parcel_id)
    .where(Parcel.owner_id == CALLER_ID_PARAM, Stamp.parcel_id == path_param("parcel_id"))
)


class ParcelLabel(FileMixin, OwnedMixin, Base):
    """A file to be printed and stuck on a parcel."""

    __tablename__ = "parcel_labels"
    __table_args__ = (
        Index("ix_parcel_labels_owner_id_created_at", "owner_id", "created_at", "id"),
    )

"""Flaws of stamps: items below two parents, which no request creates."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import ResourceMixin
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect, path_param
from app.core.schemas.base import ResourceSchema
from app.core.schemas.fields import String
from app.core.security.authorization import authenticated
from app.extensions import Base
from tests.contract.parcels.models import OWN_STAMPS, Stamp
from tests.contract.parcels.schemas import StampSchema


class Flaw(ResourceMixin, Base):
    """A flaw of a stamp."""

    __tablename__ = "flaws"
    __table_args__ = (Index("ix_flaws_stamp_id_created_at", "stamp_id", "created_at", "id"),)

    stamp_id: Mapped[UUID] = mapped_column(ForeignKey(Stamp.id, ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(Text)


OWN_FLAWS = select(Flaw).where(
    Flaw.stamp_id == path_param("stamp_id"),
    Flaw.stamp_id.in_(OWN_STAMPS.with_only_columns(Stamp.id)),
)


class FlawSchema(ResourceSchema):
    """A flaw of a stamp."""

    text = String(max_length=100, required=True, metadata={"example": "Torn"})


flaws = Blueprint(
    "flaws",
    __name__,
    url_prefix="/api/v1/parcels/<uuid:parcel_id>/stamps/<uuid:stamp_id>/flaws",
    description="Flaws.",
)


@flaws.get("", access=authenticated)
@flaws.paginated(
    FlawSchema, Sort({"created_at": Flaw.created_at}, default="created_at"), parent=StampSchema
)
def list_flaws(parcel_id: UUID, stamp_id: UUID) -> tuple[ScopedSelect, ScopedSelect]:
    """List the flaws of a stamp."""
    return OWN_FLAWS, OWN_STAMPS


@flaws.get("/<uuid:flaw_id>", access=authenticated)
@flaws.returns(FlawSchema)
def read_flaw(parcel_id: UUID, stamp_id: UUID, flaw_id: UUID) -> ScopedSelect:
    """Read a flaw of a stamp."""
    return OWN_FLAWS

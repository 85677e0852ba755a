"""Mixins of models: resource columns and ownership."""

from datetime import datetime
from functools import cache
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ForeignKey, Select, Uuid, bindparam, select, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from app.core.database.ids import uuid7
from app.core.database.types import Timestamp, now

# In a constant select, the id of the caller of the request.
CALLER_ID_PARAM = bindparam("caller_id", type_=Uuid())


def _created_at(context: DefaultExecutionContext) -> Any:
    return context.get_current_parameters()["created_at"]  # type: ignore[no-untyped-call]


class ResourceMixin:
    """Mixin of every row that has a URL: id, version (for the ETag) and two instants."""

    id: Mapped[UUID] = mapped_column(Uuid(), primary_key=True, default=uuid7, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(Timestamp, default=now, sort_order=91)
    updated_at: Mapped[datetime] = mapped_column(
        Timestamp, default=_created_at, onupdate=now, sort_order=92
    )

    @declared_attr
    @classmethod
    def version(cls) -> Mapped[int]:
        """The version, which every UPDATE raises unless it sets it: here, and nowhere else."""
        raised = text(f"{cls.__tablename__}.version + 1")  # type: ignore[attr-defined]
        return mapped_column(default=1, onupdate=raised, sort_order=90)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        # SQLAlchemy compares the version in a flush, and raises none of its own.
        return {"version_id_col": cls.__table__.c.version, "version_id_generator": False}  # type: ignore[attr-defined]


def same_version(model: type[ResourceMixin]) -> dict[str, Any]:
    """Return the values of an UPDATE after which a row has the version that it had before."""
    return {"version": model.version, "updated_at": model.updated_at}


class OwnedMixin(ResourceMixin):
    """Mixin of rows that belong to one user; no other user can read or change them."""

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))

    @classmethod
    def visible_to(cls, caller: Any) -> "Select[Self]":
        """Return the select of the caller's own rows; one constant object per model."""
        return _owned_by_caller(cls)  # type: ignore[arg-type]


# A statement is compiled once per select object: docs/decisions.md#1-scoped-queries
@cache
def _owned_by_caller(model: Any) -> "Select[Any]":
    return select(model).where(model.owner_id == CALLER_ID_PARAM)

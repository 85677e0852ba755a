"""The model of errands."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Dialect,
    Index,
    SmallInteger,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.core.database.types import CodepointText, Timestamp, nulls_last_key
from app.extensions import Base

PRIORITIES = ("low", "normal", "high")


class Priority(TypeDecorator[str]):
    """The name of a priority, stored as its rank, by which it is sorted."""

    impl = SmallInteger
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> int | None:
        return None if value is None else PRIORITIES.index(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else PRIORITIES[value]


class Errand(OwnedMixin, Base):
    """An errand of its owner. The server sets and clears `completed_at` with `done`."""

    __tablename__ = "errands"
    __table_args__ = (
        CheckConstraint("priority BETWEEN 0 AND 2", name="priority"),
        CheckConstraint("done = (completed_at IS NOT NULL)", name="completed_at"),
    )

    title: Mapped[str] = mapped_column(CodepointText)
    description: Mapped[str | None] = mapped_column(Text)
    done: Mapped[bool] = mapped_column(default=False)
    priority: Mapped[str] = mapped_column(Priority, default="normal")
    due_at: Mapped[datetime | None] = mapped_column(Timestamp)
    completed_at: Mapped[datetime | None] = mapped_column(Timestamp)


# docs/decisions.md#6-sort-keys-without-null
DUE_AT_KEY = nulls_last_key(Errand.due_at)

_keys: dict[str, Any] = {
    "created_at": Errand.created_at,
    "due_at": DUE_AT_KEY,
    "priority": Errand.priority,
    "title": Errand.title,
}
for _name, _key in _keys.items():
    Index(f"ix_errands_owner_id_{_name}", Errand.owner_id, _key, Errand.id)

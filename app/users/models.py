"""The model of users."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Select, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column, validates

from app.core.database.mixins import CALLER_ID_PARAM, ResourceMixin
from app.core.database.types import Timestamp
from app.core.schemas.email_address import canonical_email
from app.core.security.authorization import Caller
from app.extensions import Base


class User(ResourceMixin, Base):
    """An account."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint(
            "email", info={"field": "email", "detail": "This e-mail address is already registered."}
        ),
        CheckConstraint("role IN ('user', 'editor', 'admin')", name="role"),
    )

    email: Mapped[str] = mapped_column(Text)  # canonical: see `canonical_email`
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text, default="user")
    is_active: Mapped[bool] = mapped_column(default=True)
    email_verified_at: Mapped[datetime | None] = mapped_column(Timestamp)

    @validates("email")
    def _canonical_email(self, _: str, email: str) -> str:
        return canonical_email(email)

    @staticmethod
    def visible_to(caller: Caller) -> "Select[User]":
        """Return the query of all users with `users:manage`, else that of the caller's own row."""
        return ALL_USERS if caller.can("users:manage") else CURRENT_USER


ALL_USERS = select(User)
CURRENT_USER = select(User).where(User.id == CALLER_ID_PARAM)
Index("ix_users_created_at_id", User.created_at, User.id)

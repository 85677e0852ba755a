"""Identities, the sessions that providers can log out, and what can be used only once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.core.database.types import Timestamp
from app.extensions import Base


class Identity(OwnedMixin, Base):
    """An account at a provider with which its owner can log in here."""

    __tablename__ = "oidc_identities"
    # `sub` is unique and never reassigned within its issuer (OpenID Connect Core section 2).
    __table_args__ = (
        UniqueConstraint(
            "issuer",
            "subject",
            info={"detail": "This account of the provider is linked to a user."},
        ),
        UniqueConstraint(
            "owner_id",
            "issuer",
            info={"detail": "The user is linked to another account of the provider."},
        ),
    )

    issuer: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)


Index("ix_oidc_identities_owner_id_created_at", Identity.owner_id, Identity.created_at, Identity.id)


class ProviderSession(Base):
    """The session of a provider in which a session of ours began; it can end both."""

    __tablename__ = "oidc_sessions"

    session_id: Mapped[UUID] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    issuer: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    sid: Mapped[str | None] = mapped_column(Text)  # the provider's id of its session


Index("ix_oidc_sessions_issuer_subject", ProviderSession.issuer, ProviderSession.subject)
Index("ix_oidc_sessions_issuer_sid", ProviderSession.issuer, ProviderSession.sid)


class UsedToken(Base):
    """The hash of a `state` or `jti` that must not be accepted again."""

    __tablename__ = "oidc_used_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)

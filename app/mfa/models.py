"""Models of factors, recovery codes and challenges."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.mixins import OwnedMixin
from app.core.database.types import Timestamp
from app.extensions import Base

TOTP, PASSKEY = "totp", "passkey"


class Factor(OwnedMixin, Base):
    """An authenticator of a user: an app that shows codes, or a passkey."""

    __tablename__ = "factors"
    __table_args__ = (
        UniqueConstraint("credential_id", info={"detail": "This passkey is registered already."}),
        CheckConstraint("kind IN ('totp', 'passkey')", name="kind"),
    )

    kind: Mapped[str] = mapped_column(Text, default=TOTP)
    name: Mapped[str] = mapped_column(Text)
    credential: Mapped[bytes] = mapped_column(LargeBinary)  # encrypted secret, or public key
    credential_id: Mapped[bytes | None] = mapped_column(LargeBinary)  # of a passkey
    # Of the last proof: the time step of a code, or the sign count of a passkey.
    counter: Mapped[int] = mapped_column(BigInteger, default=0)
    # A passkey that verifies its user, and that the browser finds without the account.
    logs_in_alone: Mapped[bool] = mapped_column(default=False, server_default=false())
    confirmed_at: Mapped[datetime | None] = mapped_column(Timestamp)  # before, it is no factor
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    # Confirmed before the address of the owner was verified, so perhaps by another person.
    is_provisional: Mapped[bool] = mapped_column(default=False, server_default=false())
    secret = otpauth_uri = ""  # not columns; set only on a new factor


Index("ix_factors_owner_id_created_at", Factor.owner_id, Factor.created_at, Factor.id)


class RecoveryCode(Base):
    """A code that works once in place of a factor; it has 120 random bits and is stored hashed."""

    __tablename__ = "recovery_codes"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)


class Challenge(Base):
    """A challenge for a passkey, which can be answered once (WebAuthn section 13.4.3)."""

    __tablename__ = "passkey_challenges"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    # Who may answer: the owner of a session, or of an interrupted login. None: a login begins.
    owner_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)

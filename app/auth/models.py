"""Models of sessions, API keys and pending changes of e-mail addresses."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, Text, Uuid, bindparam, exists
from sqlalchemy.orm import Mapped, aliased, mapped_column

from app.core.database.mixins import CALLER_ID_PARAM, OwnedMixin
from app.core.database.types import Timestamp, now
from app.extensions import Base
from app.users.models import User


class Session(OwnedMixin, Base):
    """A session of a user, created by a login. Of its refresh tokens only hashes are stored."""

    __tablename__ = "sessions"

    refresh_token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    previous_token_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    user_agent: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str | None] = mapped_column(Text)
    methods: Mapped[list[str]] = mapped_column(
        JSON, default=lambda: ["password"], server_default='["password"]'
    )  # by which the user has logged in
    last_used_at: Mapped[datetime] = mapped_column(Timestamp, default=now)
    expires_at: Mapped[datetime] = mapped_column(Timestamp)


class ApiKey(OwnedMixin, Base):
    """A credential of a machine. Its permissions are those of its owner that its scopes name."""

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(Text)
    prefix: Mapped[str] = mapped_column(
        Text
    )  # the first characters of the secret, shown to its owner
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    secret = ""  # not a column; set only on a new key


class EmailChange(Base):
    """The change of an e-mail address that is pending for an account: see `app.auth.email_change`.

    A token whose hash is None was used.
    """

    __tablename__ = "email_changes"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    email: Mapped[str] = mapped_column(Text)  # the new one, canonical
    old_token_hash: Mapped[bytes | None] = mapped_column(LargeBinary)  # to the old address
    new_token_hash: Mapped[bytes | None] = mapped_column(LargeBinary)  # to the new one
    expires_at: Mapped[datetime] = mapped_column(Timestamp)


Index("ix_api_keys_owner_id_created_at", ApiKey.owner_id, ApiKey.created_at, ApiKey.id)
Index("ix_email_changes_old_token_hash", EmailChange.old_token_hash)
Index("ix_email_changes_new_token_hash", EmailChange.new_token_hash)
Index("ix_email_changes_expires_at", EmailChange.expires_at)
Index("ix_sessions_owner_id_created_at", Session.owner_id, Session.created_at, Session.id)

# The session of the access token exists, and its user is active and has the role of the token.
# Repository and pagination include this condition in the statements that read and write:
# docs/decisions.md#20-session-revocation
_session, _user = aliased(Session), aliased(User)  # the statement itself may select from both
SESSION_IS_VALID = (
    exists()
    .where(_session.id == bindparam("session_id", type_=Uuid()))
    .where(_session.owner_id == CALLER_ID_PARAM)
    .where(_user.id == _session.owner_id)
    .where(_user.is_active, _user.role == bindparam("caller_role"))
)
# The same, and the login is recent. A refresh is no login.
SESSION_IS_RECENT = SESSION_IS_VALID.where(
    _session.created_at > bindparam("recent_since", type_=Timestamp)
)

"""Sessions by what stands for them, and their end: the next request with a token is a 401."""

from base64 import urlsafe_b64decode
from uuid import UUID

from sqlalchemy import delete

from app.auth.models import Session
from app.extensions import db
from app.kit.access import unauthorized
from app.kit.changes import record


def split_refresh_token(token: str) -> tuple[UUID, bytes]:
    """A refresh token is its session's id, then the secret: so a used one is still recognised.

    Raises:
        Problem: 401, it is none.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
        return UUID(bytes=raw[:16]), raw[16:]
    except ValueError as error:
        raise unauthorized("The refresh token is not valid.") from error


def end_session(session_id: UUID | None) -> None:
    """End one session."""
    db.session.execute(delete(Session).where(Session.id == session_id))
    record("delete", "sessions", session_id)


def end_sessions(user_id: UUID | None, *, besides: UUID | None = None) -> None:
    """End all sessions of a user, but for one where that is given."""
    ended = delete(Session).where(Session.owner_id == user_id).returning(Session.id)
    if besides is not None:
        ended = ended.where(Session.id != besides)
    for session_id in db.session.scalars(ended).all():
        record("delete", "sessions", session_id)

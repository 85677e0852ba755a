"""Ending sessions: whatever their tokens say, the next request with one of them is a 401."""

from uuid import UUID

from sqlalchemy import delete

from app.auth.models import Session
from app.extensions import db
from app.kit.changes import record


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

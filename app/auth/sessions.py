"""Revocation of sessions: the next request with one of their tokens is a 401."""

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from app.auth.models import Session
from app.auth.schemas import SessionOwnerSchema
from app.core.background.periodic import HOUR, periodic_task
from app.core.database.types import now
from app.core.resources import repository, unaudited
from app.users.service import user_deactivated

SESSION_OWNER = SessionOwnerSchema()


def revoke_session(session_id: UUID | None) -> None:
    """Revoke one session."""
    repository.delete_where(Session, Session.id == session_id, SESSION_OWNER)


def revoke_sessions(user_id: UUID | None, *, except_id: UUID | None = None) -> None:
    """Revoke all sessions of a user, except the one with `except_id`."""
    condition = Session.owner_id == user_id
    if except_id is not None:
        condition = sa.and_(condition, Session.id != except_id)
    repository.delete_where(Session, condition, SESSION_OWNER)


@user_deactivated.connect
def revoke_sessions_of_deactivated_user(user_id: UUID) -> None:
    """Revoke all sessions, in the transaction that disables the account."""
    revoke_sessions(user_id)


@periodic_task("sessions", interval=HOUR)
def purge_sessions() -> int:
    """Delete sessions that have expired or were idle for too long; return their number."""
    moment = now()
    idle_since = moment - timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    has_expired = sa.or_(Session.expires_at <= moment, Session.last_used_at <= idle_since)
    return unaudited.delete_in_batches(Session, has_expired)

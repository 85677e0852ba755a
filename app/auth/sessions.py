"""The end of sessions: the next request with one of their tokens is answered with 401."""

from datetime import timedelta
from uuid import UUID

from flask import current_app
from sqlalchemy import delete, or_

from app.auth.models import Session
from app.core.database.types import now
from app.core.resources import repository
from app.core.resources.audit_log import log_change
from app.extensions import db
from app.jobs.periodic import HOUR, periodic_task
from app.users.service import user_deactivated


def revoke_session(session_id: UUID | None) -> None:
    """End one session."""
    db.session.execute(delete(Session).where(Session.id == session_id))
    log_change("delete", "sessions", session_id)


def revoke_sessions(user_id: UUID | None, *, except_id: UUID | None = None) -> None:
    """End all sessions of a user, except one where that is given."""
    ended = delete(Session).where(Session.owner_id == user_id).returning(Session.id)
    if except_id is not None:
        ended = ended.where(Session.id != except_id)
    for session_id in db.session.scalars(ended).all():
        log_change("delete", "sessions", session_id)


@user_deactivated.connect
def revoke_sessions_of_deactivated_user(user_id: UUID) -> None:
    """End all sessions, in the transaction that disables the account."""
    revoke_sessions(user_id)


@periodic_task("sessions", interval=HOUR)
def purge_sessions() -> int:
    """Delete the sessions that have expired, or were not used for too long; how many."""
    moment = now()
    idle_since = moment - timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    has_ended = or_(Session.expires_at <= moment, Session.last_used_at <= idle_since)
    return repository.delete_in_batches(Session, has_ended)

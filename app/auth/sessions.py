"""Sessions by what stands for them, and their end: the next request with a token is a 401."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from uuid import UUID

from flask import current_app
from sqlalchemy import delete, or_

from app.auth.models import Session
from app.core.database.types import now
from app.core.resources import repository
from app.core.resources.audit_log import log_change
from app.core.security.authorization import unauthorized_problem
from app.core.web.problems import Problem
from app.extensions import db
from app.jobs.periodic import HOUR, periodic_task

_SIGNATURE_BYTES = 16  # bytes


def make_refresh_token(session_id: UUID, secret: bytes) -> str:
    """A refresh token: its session's id, the secret, and a seal.

    By the id a used one is still recognised. By the seal one is ours: whoever only knows the id of
    a session, out of a log, cannot make one that looks used and would end it.
    """
    sealed = session_id.bytes + secret
    return urlsafe_b64encode(sealed + _signature(sealed)).decode()


def split_refresh_token(token: str) -> tuple[UUID, bytes]:
    """The id of the session and the secret.

    Raises:
        Problem: 401, it is no refresh token of ours.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except ValueError as error:
        raise _invalid_token() from error
    sealed, seal = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    if len(sealed) <= 16 or not hmac.compare_digest(seal, _signature(sealed)):
        raise _invalid_token()
    return UUID(bytes=sealed[:16]), sealed[16:]


def _signature(sealed: bytes) -> bytes:
    key = f"refresh tokens {current_app.config['SECRET_KEY']}".encode()
    return hmac.digest(key, sealed, "sha256")[:_SIGNATURE_BYTES]


def _invalid_token() -> Problem:
    return unauthorized_problem("The refresh token is not valid.")


def revoke_session(session_id: UUID | None) -> None:
    """End one session."""
    db.session.execute(delete(Session).where(Session.id == session_id))
    log_change("delete", "sessions", session_id)


def revoke_sessions(user_id: UUID | None, *, except_id: UUID | None = None) -> None:
    """End all sessions of a user, but for one where that is given."""
    ended = delete(Session).where(Session.owner_id == user_id).returning(Session.id)
    if except_id is not None:
        ended = ended.where(Session.id != except_id)
    for session_id in db.session.scalars(ended).all():
        log_change("delete", "sessions", session_id)


@periodic_task("sessions", interval=HOUR)
def purge_sessions() -> int:
    """Delete the sessions that have expired, or were not used for too long."""
    moment = now()
    idle_since = moment - timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    over = or_(Session.expires_at <= moment, Session.last_used_at <= idle_since)
    return repository.delete_in_batches(Session, over)

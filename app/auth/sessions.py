"""Sessions by what stands for them, and their end: the next request with a token is a 401."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from uuid import UUID

from flask import current_app
from sqlalchemy import delete, or_

from app.auth.models import Session
from app.extensions import db
from app.jobs.upkeep import HOUR, recurring
from app.kit import rows
from app.kit.access import unauthorized
from app.kit.changes import record
from app.kit.model import now
from app.kit.problems import Problem

_SEAL = 16  # bytes


def make_refresh_token(session_id: UUID, secret: bytes) -> str:
    """A refresh token: its session's id, the secret, and a seal.

    By the id a used one is still recognised. By the seal one is ours: whoever only knows the id of
    a session, out of a log, cannot make one that looks used and would end it.
    """
    sealed = session_id.bytes + secret
    return urlsafe_b64encode(sealed + _seal(sealed)).decode()


def split_refresh_token(token: str) -> tuple[UUID, bytes]:
    """The id of the session and the secret.

    Raises:
        Problem: 401, it is no refresh token of ours.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except ValueError as error:
        raise _refused() from error
    sealed, seal = raw[:-_SEAL], raw[-_SEAL:]
    if len(sealed) <= 16 or not hmac.compare_digest(seal, _seal(sealed)):
        raise _refused()
    return UUID(bytes=sealed[:16]), sealed[16:]


def _seal(sealed: bytes) -> bytes:
    key = f"refresh tokens {current_app.config['SECRET_KEY']}".encode()
    return hmac.digest(key, sealed, "sha256")[:_SEAL]


def _refused() -> Problem:
    return unauthorized("The refresh token is not valid.")


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


@recurring("sessions", every=HOUR)
def purge_sessions() -> int:
    """Delete the sessions that have expired, or were not used for too long."""
    moment = now()
    idle_since = moment - timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    over = or_(Session.expires_at <= moment, Session.last_used_at <= idle_since)
    return rows.purge(Session, over)

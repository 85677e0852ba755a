"""Sessions by what stands for them, and their end: the next request with a token is a 401."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from flask import current_app

from app.auth.models import Session
from app.auth.schemas import SessionOwnerSchema
from app.core.database.types import now
from app.core.resources import repository
from app.core.security.authorization import unauthorized_problem
from app.core.web.problems import Problem
from app.jobs.periodic import HOUR, periodic_task

SESSION_OWNER = SessionOwnerSchema()
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
    repository.delete_where(Session, Session.id == session_id, SESSION_OWNER)


def revoke_sessions(user_id: UUID | None, *, except_id: UUID | None = None) -> None:
    """End all sessions of a user, but for one where that is given."""
    condition = Session.owner_id == user_id
    if except_id is not None:
        condition = sa.and_(condition, Session.id != except_id)
    repository.delete_where(Session, condition, SESSION_OWNER)


@periodic_task("sessions", interval=HOUR)
def purge_sessions() -> int:
    """Delete the sessions that have expired, or were not used for too long."""
    moment = now()
    idle_since = moment - timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    over = sa.or_(Session.expires_at <= moment, Session.last_used_at <= idle_since)
    return repository.delete_in_batches(Session, over)

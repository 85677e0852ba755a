"""Pairs of an access token and a refresh token, and the rotation of refresh tokens."""

import secrets
from datetime import timedelta
from typing import Any

import structlog
from flask import current_app
from sqlalchemy import Row, select

from app.auth.models import Session
from app.auth.refresh_token_format import (
    SECRET_BYTES,
    make_refresh_token,
    refresh_token_problem,
    split_refresh_token,
)
from app.auth.second_factors import due_methods
from app.auth.sessions import revoke_session
from app.auth.tokens import issue_access_token
from app.core.database.types import now
from app.core.resources import unaudited
from app.core.web.problems import Problem
from app.extensions import db
from app.users.models import User
from app.users.passwords import sha256_digest

REUSE_GRACE = timedelta(seconds=10)

log = structlog.get_logger()


def refresh(token: str) -> dict[str, Any]:
    """Exchange a refresh token and return the response body (RFC 6749 section 5.1).

    The reuse of an exchanged token means that two parties have it: the session is revoked, which is
    committed although the response is 401 (RFC 9700 section 4.14.2).

    Raises:
        Problem: 401, the token is invalid, used or expired; 409, another request has exchanged it
            within `REUSE_GRACE`.
    """
    session_id, secret = split_refresh_token(token)
    session = db.session.scalar(select(Session).where(Session.id == session_id).with_for_update())
    if session is None or _has_expired(session):
        raise refresh_token_problem()
    digest = sha256_digest(secret)
    # Two requests of one client at the same time: docs/decisions.md#22-parallel-refreshes
    if session.previous_token_hash == digest and now() - session.last_used_at < REUSE_GRACE:
        raise Problem("conflict", "Another request has just exchanged this refresh token.")
    user = db.session.get(User, session.owner_id)
    reused = not secrets.compare_digest(session.refresh_token_hash, digest)
    # The role may have got a policy, or the user another role, since the login.
    if reused or user is None or not user.is_active or due_methods(user, session.methods):
        log.warning("refresh_token_rejected", session_id=str(session_id), reused=reused)
        revoke_session(session.id)
        db.session.commit()
        raise refresh_token_problem()
    new_secret = secrets.token_bytes(SECRET_BYTES)
    values = {
        "refresh_token_hash": sha256_digest(new_secret),
        "previous_token_hash": session.refresh_token_hash,
        "last_used_at": now(),
    }
    unaudited.update_where(Session, Session.id == session.id, values)
    log.info("token_refreshed", user_id=str(user.id), session_id=str(session.id))
    return make_token_pair(session, user.role, new_secret)


def make_token_pair(session: Session | Row[Any], role: str, secret: bytes) -> dict[str, Any]:
    """Return the response body with new tokens; `secret` is that of the refresh token."""
    return {
        "access_token": issue_access_token(session, role),
        "token_type": "Bearer",
        "expires_in": current_app.config["ACCESS_TOKEN_MINUTES"] * 60,
        "refresh_token": make_refresh_token(session.id, secret),
    }


def _has_expired(session: Session) -> bool:
    """Whether the session has expired or was idle for too long (RFC 9700 section 4.14.2)."""
    idle = timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    return now() >= min(session.expires_at, session.last_used_at + idle)

"""Rules of a session: it begins with a password and lives by rotation. Recovery by mail."""

import secrets
from datetime import timedelta
from typing import Any

import structlog
from flask import current_app, request
from sqlalchemy import Row, bindparam, insert, select

from app.auth import login_throttle
from app.auth.email_tokens import RESET, VERIFY, consume_token
from app.auth.models import Session
from app.auth.sessions import make_refresh_token, revoke_sessions, split_refresh_token
from app.auth.tokens import issue_access_token
from app.core.database import execute, single_statement
from app.core.database.types import now
from app.core.resources import repository
from app.core.resources.audit_log import build_change, change_rows, log_change
from app.core.security.authorization import unauthorized_problem
from app.core.web.problems import Problem
from app.extensions import db
from app.telemetry.metrics import LOGINS
from app.users.models import User
from app.users.passwords import needs_rehash, sha256_digest, verify_password
from app.users.service import set_password, update_password_hash

log = structlog.get_logger()

REUSE_GRACE = timedelta(seconds=10)


def log_in(email: str, password: str) -> dict[str, Any]:
    """Begin a session; its tokens.

    Raises:
        Problem: 401, one answer for an unknown address, a wrong password and a disabled account;
            429, too many attempts failed, whether or not there is such an account.
    """
    login_throttle.register_attempt(email)
    secret, session = secrets.token_bytes(32), None
    while session is None:  # the user was changed while the password was looked at
        user = _authenticate(email, password)
        session = _create_session(email, user, secret)
    if needs_rehash(user.password_hash):
        update_password_hash(user, password)
    LOGINS.labels("succeeded").inc()
    log.info("login", user_id=str(user.id), session_id=str(session.id))
    return _tokens(session, user.role, secret)


_CREDENTIALS = select(User.id, User.role, User.is_active, User.password_hash).where(
    User.email == bindparam("email")
)


def _authenticate(email: str, password: str) -> Row[Any]:
    """The active user with that password; after the same work, a 401."""
    # No transaction is open during the hash: on SQLite it would keep all others waiting.
    found: Row[Any] | None = next(
        iter(execute.fetch_autocommit(_CREDENTIALS, {"email": email})), None
    )
    stored = found.password_hash if found and found.is_active else None
    right = verify_password(stored, password)
    if found is None or not right:
        LOGINS.labels("failed").inc()
        log.warning("login_failed", user_id=found and str(found.id))
        raise _login_failed("The e-mail address or the password is wrong.")
    return found


def _create_session(email: str, user: Row[Any], secret: bytes) -> Row[Any] | None:
    """Begin a session of a user and forgive them; None where they are not any more as given."""
    values = repository.column_defaults(Session) | {
        "owner_id": user.id,
        "role": user.role,
        "password_hash": user.password_hash,
        "refresh_token_hash": sha256_digest(secret),
        "user_agent": (request.user_agent.string or "")[:500] or None,
        "ip_address": request.remote_addr,
        "expires_at": now() + timedelta(days=current_app.config["REFRESH_TOKEN_DAYS"]),
    }
    told = change_rows(
        build_change("create", "sessions", values["id"], after={"owner_id": user.id})
    )
    values |= login_throttle.reset_values(email)
    begun = single_statement.execute_with_audit(
        _CREATE_SESSION, values, told, login_throttle.upsert_counters
    )
    session: Row[Any] | None = next(iter(begun), None)
    if session is None:
        db.session.rollback()
    return session


# Locks the user till we commit: a session must not follow those that a new password ends.
_NEW = [c for c in Session.__table__.c if c.name != "previous_token_hash"]
_CREATE_SESSION = (
    insert(Session)
    .from_select(
        _NEW,
        select(*(bindparam(c.name, type_=c.type) for c in _NEW))
        .where(User.id == bindparam("owner_id"), User.is_active)
        .where(User.role == bindparam("role"), User.password_hash == bindparam("password_hash"))
        .with_for_update(key_share=True),
        include_defaults=False,
    )
    .returning(Session.id, Session.owner_id)
)


def reset_password(token: str, new_password: str) -> None:
    """Give the user to whom the token was mailed a new password; all their sessions end.

    Raises:
        Problem: 401, the token is not, or no longer, valid; 422, the password is not good enough,
            and the token can be used again.
    """
    user = consume_token(RESET, token)
    set_password(user, new_password)
    _confirm_address(user)
    revoke_sessions(user.id)
    login_throttle.reset_attempts(user.email)
    log_change("reset_password", "users", user.id)


def verify_email(token: str) -> None:
    """Note that the user to whom the token was mailed has the address.

    Raises:
        Problem: 401, the token is not, or no longer, valid.
    """
    _confirm_address(consume_token(VERIFY, token))


def _confirm_address(user: User) -> None:
    if user.email_verified_at is None:
        user.email_verified_at = user.updated_at = now()
        after = {"email_verified_at": user.email_verified_at}
        log_change("update", "users", user.id, before={"email_verified_at": None}, after=after)


def refresh(token: str) -> dict[str, Any]:
    """Exchange a refresh token for new tokens; it works once.

    A token that was exchanged before means that two parties hold it: the session ends, which is
    committed although the answer is 401 (RFC 9700 section 4.14.2). Only a client that sends one
    token twice at a time is spared: for a moment the late request is a conflict, and gets nothing.

    Raises:
        Problem: 401, the token is not, or no longer, valid; 409, it was exchanged this moment.
    """
    session_id, secret = split_refresh_token(token)
    session = db.session.scalar(select(Session).where(Session.id == session_id).with_for_update())
    if session is None or _has_expired(session):
        raise _login_failed("The refresh token is not valid.")
    if (
        session.previous_token_hash == sha256_digest(secret)
        and now() - session.last_used_at < REUSE_GRACE
    ):
        raise Problem("conflict", "This refresh token was exchanged just now, by another request.")
    user = db.session.get(User, session.owner_id)
    reused = not secrets.compare_digest(session.refresh_token_hash, sha256_digest(secret))
    if reused or user is None or not user.is_active:
        log.warning("refresh_refused", session_id=str(session_id), reused=reused)
        db.session.delete(session)
        log_change("delete", "sessions", session_id)
        db.session.commit()
        raise _login_failed("The refresh token is not valid.")
    session.previous_token_hash = session.refresh_token_hash
    session.last_used_at = now()
    secret = _renew(session)
    return _tokens(session, user.role, secret)


def _has_expired(session: Session) -> bool:
    """Whether the session is too old, or was idle for too long (RFC 9700 section 4.14.2)."""
    idle = timedelta(days=current_app.config["SESSION_IDLE_DAYS"])
    return now() >= min(session.expires_at, session.last_used_at + idle)


def _tokens(session: Session | Row[Any], role: str, secret: bytes) -> dict[str, Any]:
    return {
        "access_token": issue_access_token(session, role),
        "token_type": "Bearer",
        "expires_in": current_app.config["ACCESS_TOKEN_MINUTES"] * 60,
        "refresh_token": make_refresh_token(session.id, secret),
    }


def _renew(session: Session) -> bytes:
    """Give the session a new secret of 256 random bits, of which it keeps the hash."""
    secret = secrets.token_bytes(32)
    session.refresh_token_hash = sha256_digest(secret)
    return secret


def _login_failed(detail: str) -> Problem:
    return unauthorized_problem(detail)

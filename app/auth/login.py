"""Login with e-mail address and password, and the sessions that every kind of login creates."""

import secrets
from datetime import timedelta
from typing import Any

import structlog
from flask import current_app, request
from sqlalchemy import Row, bindparam, select

from app.auth import devices, login_throttle
from app.auth.models import Session
from app.auth.notices import NEW_DEVICE, SUSPICIOUS_LOGIN, notify
from app.auth.refresh_token_format import SECRET_BYTES
from app.auth.second_factors import USER_COLUMNS, require_second_factor
from app.auth.sessions import SESSION_OWNER
from app.auth.token_rotation import make_token_pair
from app.core.database import execute
from app.core.database.types import now
from app.core.resources import repository
from app.core.security.authorization import unauthorized_problem
from app.core.web.client_address import client_address
from app.core.web.problems import Problem
from app.extensions import db
from app.telemetry.metrics import LOGINS
from app.users.models import User
from app.users.passwords import hash_password, needs_rehash, sha256_digest, verify_password
from app.users.service import set_caller, update_password_hash

SUSPICIOUS_FAILURES = login_throttle.MAX_FAILURES_PER_ADDRESS

log = structlog.get_logger()


def log_in(email: str, password: str) -> dict[str, Any]:
    """Create a session and return the response body with its tokens.

    Raises:
        Problem: 401, the same for an unknown address, a wrong password and a disabled account, or
            a second factor is due; 429, too many attempts failed, whether or not the account
            exists.
    """
    failures = login_throttle.register_attempt(email)
    tokens = None
    # Repeated if the user was changed while the password was verified:
    # docs/decisions.md#30-login-in-seven-round-trips
    while tokens is None:
        user = _authenticate(email, password)
        if needs_rehash(user.password_hash):
            # Before the token of an interrupted login, which another hash ends.
            update_password_hash(user, hash_password(password))
            db.session.commit()
            db.session.remove()  # what follows begins its own transaction
            continue
        try:
            tokens = open_session(user, ("password",), failures)
        except Problem:  # a second factor is due, whose failures are counted with these
            login_throttle.withdraw_attempt(email)
            raise
    return tokens


def open_session(
    user: Row[Any], methods: tuple[str, ...], failures: int = 0
) -> dict[str, Any] | None:
    """Create a session, reset the failed attempts, and return the response body with the tokens.

    Every login ends here. None: the user has been changed since the row was read.

    Args:
        user: a row of `second_factors.USER_COLUMNS` of an active user.
        methods: those by which the user has logged in, such as `password`.
        failures: attempts that failed before, as `register_attempt` returns them.

    Raises:
        Problem: 401 `second-factor-required`.
    """
    require_second_factor(user, methods)
    secret = secrets.token_bytes(SECRET_BYTES)
    session = _create_session(user, methods, secret)
    if session is None:
        return None
    is_new_device = devices.is_new_device(user.id)
    if failures >= SUSPICIOUS_FAILURES:
        notify(SUSPICIOUS_LOGIN, user.id)
    elif is_new_device:
        notify(NEW_DEVICE, user.id)
    LOGINS.labels("succeeded").inc()
    log.info("login_succeeded", user_id=str(user.id), session_id=str(session.id), methods=methods)
    return make_token_pair(session, user.role, secret)


_SELECT_CREDENTIALS = select(*USER_COLUMNS).where(User.email == bindparam("email"))


def _authenticate(email: str, password: str) -> Row[Any]:
    """Return the active user with these credentials; 401, after the same work, without one."""
    # No transaction is open during the hash: on SQLite it would block all writers.
    rows = execute.fetch_autocommit(_SELECT_CREDENTIALS, {"email": email})
    user: Row[Any] | None = next(iter(rows), None)
    stored = user.password_hash if user and user.is_active else None
    is_right = verify_password(stored, password)
    if user is None or not is_right:
        login_throttle.fail_attempt(email)
        LOGINS.labels("failed").inc()
        log.warning("login_failed", user_id=user and str(user.id))
        raise unauthorized_problem("The e-mail address or the password is wrong.")
    return user


def _create_session(user: Row[Any], methods: tuple[str, ...], secret: bytes) -> Row[Any] | None:
    session = Session(
        owner_id=user.id,
        methods=list(methods),
        refresh_token_hash=sha256_digest(secret),
        user_agent=(request.user_agent.string or "")[:500] or None,
        ip_address=client_address(request),
        expires_at=now() + timedelta(days=current_app.config["REFRESH_TOKEN_DAYS"]),
    )
    # From here on the caller is known: to the audit log, from which it can be erased, and the log.
    set_caller(user)
    params = {"user_id": user.id, "role": user.role, "password_hash": user.password_hash}
    params |= login_throttle.reset_values(user.email)
    row = repository.create_if(
        _UNCHANGED_USER, session, SESSION_OWNER, params, login_throttle.upsert_counters
    )
    if row is None:
        db.session.remove()
    return row


# Locks the user until the commit: a new password revokes all sessions, and the old password must
# not create a session after that.
_UNCHANGED_USER = (
    select(User.id)
    .where(User.id == bindparam("user_id"), User.is_active)
    .where(User.role == bindparam("role"), User.password_hash == bindparam("password_hash"))
    .with_for_update(key_share=True)
)

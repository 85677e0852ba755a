"""Password changes, password resets and the confirmation of e-mail addresses."""

from typing import Any
from uuid import UUID

from blinker import Signal
from sqlalchemy import Row

from app.auth import login_throttle
from app.auth.email_tokens import (
    RESET,
    VERIFY,
    consume_token,
    find_recipient,
    revoke_tokens,
)
from app.auth.models import ApiKey
from app.auth.notices import PASSWORD_CHANGED, notify
from app.auth.schemas import ApiKeySchema
from app.auth.second_factors import due_methods
from app.auth.sessions import revoke_sessions
from app.core.database import execute
from app.core.database.types import now
from app.core.resources import repository
from app.core.resources.audit_log import Change, log_change
from app.core.security.authorization import current_caller, require_recent_login
from app.core.web.problems import Problem, log_denial
from app.extensions import db
from app.users.models import CURRENT_USER, User
from app.users.password_policy import password_error
from app.users.passwords import NO_PASSWORD, hash_password, verify_password
from app.users.schemas import UserSchema
from app.users.service import update_password_hash

credentials_revoked = Signal(
    "All credentials but the password are revoked, since another person may have obtained them. The"
    " sender is the user's id; receivers run in the transaction."
)
address_verified = Signal(
    "The address of an account is verified for the first time since it was registered, or set by an"
    " operator. The sender is the user's id; receivers run in the transaction, and revoke what was"
    " set up before, perhaps by another person."
)
login_without_password = Signal(
    "A row is about to be deleted with which a user who has no password may log in. The sender is"
    " the user's id, `except_id` that of the row. A receiver returns whether another of its rows"
    " can log in, in the transaction."
)

_USER_SCHEMA, _KEY_SCHEMA = UserSchema(), ApiKeySchema()
_SELECT_OWN_ACCOUNT = CURRENT_USER.with_only_columns(
    User.id, User.email, User.name, User.role, User.password_hash
)


def change_password(current_password: str, new_password: str) -> None:
    """Set a new password for the caller and revoke their other sessions.

    Raises:
        Problem: 422, the current password is incorrect, or the new one is not allowed; 429, too
            many attempts failed, here and at logins together; 401, the account has a second
            factor, and the login is too long ago.
    """
    user = _read_own_account()
    if due_methods(user, ("password",)):
        require_recent_login()
    login_throttle.register_attempt(user.email)
    try:
        _replace_password(user, current_password, new_password)
    except Problem:
        login_throttle.fail_attempt(user.email)
        raise
    login_throttle.reset_attempts(user.email)
    revoke_tokens(user.id, RESET)
    log_change(Change("change_password", "users", user.id))
    notify(PASSWORD_CHANGED, user.id)
    revoke_sessions(user.id, except_id=current_caller.session_id)


def require_another_login(user: User, except_id: UUID) -> None:
    """Check that a locked user can log in without one of the rows that log in.

    Raises:
        Problem: 409, the user has no password, and no other of these rows.
    """
    if user.password_hash != NO_PASSWORD:
        return
    if not any(found for _, found in login_without_password.send(user.id, except_id=except_id)):
        detail = "Set a password first: this is the only way to log in to the account."
        raise Problem("conflict", detail)


def _replace_password(user: Row[Any], current_password: str, new_password: str) -> None:
    while True:
        if not verify_password(user.password_hash, current_password):
            error = {"detail": "Current password is incorrect.", "pointer": "#/current_password"}
            log_denial("authentication_failed", error["detail"])  # which is no 401 here
            raise Problem("validation-error", errors=[error])
        if update_password_hash(user, _hash_new_password(user, new_password)):
            return
        db.session.rollback()
        user = _read_own_account()  # another request has replaced the hash


def _read_own_account() -> Row[Any]:
    rows = execute.fetch_autocommit(_SELECT_OWN_ACCOUNT, {"caller_id": current_caller.id})
    if not rows:
        raise Problem("not-found")
    account: Row[Any] = rows[0]
    return account


def _hash_new_password(user: User | Row[Any], password: str) -> str:
    """Check a new password against the policy and return its hash.

    Call it outside of transactions: hashing is slow, and a transaction would hold its locks.

    Raises:
        Problem: 422, the password is not allowed for this user.
    """
    if error := password_error(password, user.email, user.name):
        errors = [{"detail": error, "pointer": "#/new_password"}]
        raise Problem("validation-error", errors=errors)
    return hash_password(password)


def reset_password(token: str, new_password: str) -> None:
    """Set a new password for the recipient of the token and revoke all their credentials.

    Raises:
        Problem: 401, the token is invalid, used or expired; 422, the password is not allowed, and
            the token remains valid.
    """
    new_hash = _hash_new_password(find_recipient(RESET, token), new_password)
    user = consume_token(RESET, token)
    update_password_hash(user, new_hash)
    _mark_email_verified(user)
    revoke_credentials(user)
    login_throttle.reset_attempts(user.email)
    log_change(Change("reset_password", "users", user.id))
    notify(PASSWORD_CHANGED, user.id)


def verify_email(token: str) -> None:
    """Mark the e-mail address of the recipient of the token as verified.

    The first time, all credentials from before but the password are revoked: somebody else may have
    registered the address. docs/decisions.md#78-credentials-from-before-the-verification

    Raises:
        Problem: 401, the token is invalid, used or expired.
    """
    user = consume_token(VERIFY, token)
    if _mark_email_verified(user):
        revoke_credentials(user)


def _mark_email_verified(user: User) -> bool:
    """Whether the address was not verified before."""
    if user.email_verified_at is not None:
        return False
    moment = now()
    values = {"email_verified_at": moment, "updated_at": moment}
    repository.update_locked(User, user, values, _USER_SCHEMA)
    address_verified.send(user.id)
    return True


def revoke_credentials(user: User) -> None:
    """Revoke all sessions, API keys, reset tokens and the pending change of address of a user."""
    revoke_tokens(user.id, RESET)
    revoke_sessions(user.id)
    repository.delete_where(ApiKey, ApiKey.owner_id == user.id, _KEY_SCHEMA)
    credentials_revoked.send(user.id)

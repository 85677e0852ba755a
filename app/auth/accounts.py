"""Changes of an account that need its credentials: new passwords, confirmed addresses."""

from typing import Any

from sqlalchemy import Row

from app.auth import login_throttle
from app.auth.email_tokens import (
    RESET,
    VERIFY,
    consume_token,
    find_token_owner,
    revoke_reset_tokens,
)
from app.auth.sessions import revoke_sessions
from app.core.database import execute
from app.core.database.types import now
from app.core.resources import repository
from app.core.resources.audit_log import Change, log_change
from app.core.security.authorization import current_caller
from app.core.web.problems import Problem
from app.extensions import db
from app.users.models import CURRENT_USER, User
from app.users.password_policy import password_error
from app.users.passwords import hash_password, verify_password
from app.users.schemas import UserSchema
from app.users.service import update_password_hash

_USER = UserSchema()
_OWN_ACCOUNT = CURRENT_USER.with_only_columns(User.id, User.email, User.name, User.password_hash)


def change_password(current_password: str, new_password: str) -> None:
    """Set a new password for the caller and end all their other sessions.

    Raises:
        Problem: 422, the current password is incorrect, or the new one not allowed; 429, too many
            attempts failed, here and at logins together.
    """
    user = _read_own_account()
    login_throttle.register_attempt(user.email)
    while True:
        if not verify_password(user.password_hash, current_password):
            error = {"detail": "Current password is incorrect.", "pointer": "#/current_password"}
            raise Problem("validation-error", errors=[error])
        if update_password_hash(user, _hash_new_password(user, new_password)):
            break
        db.session.rollback()
        user = _read_own_account()  # the hash was replaced meanwhile
    login_throttle.reset_attempts(user.email)
    revoke_reset_tokens(user.id)
    log_change(Change("change_password", "users", user.id))
    revoke_sessions(user.id, except_id=current_caller.session_id)


def _read_own_account() -> Row[Any]:
    rows = execute.fetch_autocommit(_OWN_ACCOUNT, {"caller_id": current_caller.id})
    if not rows:
        raise Problem("not-found")
    account: Row[Any] = rows[0]
    return account


def _hash_new_password(user: User | Row[Any], password: str) -> str:
    """The hash of a password that a user has chosen.

    Call it outside of transactions: it takes long, and must not block others meanwhile.

    Raises:
        Problem: 422, the password is not allowed for this user.
    """
    if error := password_error(password, user.email, user.name):
        errors = [{"detail": error, "pointer": "#/new_password"}]
        raise Problem("validation-error", errors=errors)
    return hash_password(password)


def reset_password(token: str, new_password: str) -> None:
    """Set a new password for the user to whom the token was mailed, and end all their sessions.

    Raises:
        Problem: 401, the token is not valid, or not any more; 422, the password is not allowed, and
            the token can be used again.
    """
    new_hash = _hash_new_password(find_token_owner(RESET, token), new_password)
    user = consume_token(RESET, token)
    update_password_hash(user, new_hash)
    revoke_reset_tokens(user.id)
    _confirm_address(user)
    revoke_sessions(user.id)
    login_throttle.reset_attempts(user.email)
    log_change(Change("reset_password", "users", user.id))


def verify_email(token: str) -> None:
    """Record that the user to whom the token was mailed has the address.

    Raises:
        Problem: 401, the token is not valid, or not any more.
    """
    _confirm_address(consume_token(VERIFY, token))


def _confirm_address(user: User) -> None:
    if user.email_verified_at is None:
        moment = now()
        values = {"email_verified_at": moment, "updated_at": moment}
        repository.update_locked(User, user, values, _USER)

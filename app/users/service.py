"""Rules about users that span rows."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from app.auth import login_throttle
from app.auth.email_tokens import revoke_reset_tokens
from app.auth.sessions import revoke_sessions
from app.core.database import execute
from app.core.resources.audit_log import Change, log_change
from app.core.security.authorization import current_caller
from app.core.web.problems import Problem
from app.extensions import db
from app.users.models import CURRENT_USER, User
from app.users.password_policy import password_error
from app.users.passwords import hash_password, verify_password

_OWN_EMAIL = CURRENT_USER.with_only_columns(User.email)


def ensure_another_active_admin(excluding: UUID | None) -> None:
    """Make sure that an active admin remains without this user; the admins stay locked till then.

    Raises:
        Problem: 409, this is the last one.
    """
    active_admins = (
        select(User.id)
        .where(User.role == "admin", User.is_active)
        .order_by(User.id)
        .with_for_update()
    )
    if db.session.scalars(active_admins).all() == [excluding]:
        raise Problem("conflict", "The last active admin cannot be removed, demoted or disabled.")


def change_password(current_password: str, new_password: str) -> None:
    """Give the caller a new password; all their other sessions end.

    Raises:
        Problem: 422, the present password is not right, or the new one not good enough; 429, too
            many attempts failed, here and at logins together.
    """
    for (email,) in execute.fetch_autocommit(_OWN_EMAIL, {"caller_id": current_caller.id}):
        login_throttle.register_attempt(email)
    user = db.session.get(User, current_caller.id, with_for_update=True)
    if user is None:
        raise Problem("not-found")
    if not verify_password(user.password_hash, current_password):
        place = {"detail": "Is not the present password.", "pointer": "#/current_password"}
        raise Problem("validation-error", errors=[place])
    login_throttle.reset_attempts(user.email)
    set_password(user, new_password)
    log_change(Change("change_password", "users", user.id))
    revoke_sessions(user.id, except_id=current_caller.session_id)


def set_password(user: User, new_password: str) -> None:
    """Store the hash of a password that a user has chosen; mailed tokens for another are void.

    Raises:
        Problem: 422, it is not good enough for this user.
    """
    if found := password_error(new_password, user.email, user.name):
        place = {"detail": found, "pointer": "#/new_password"}
        raise Problem("validation-error", errors=[place])
    update_password_hash(user, new_password)
    revoke_reset_tokens(user.id)


def update_password_hash(user: User | Row[Any], password: str) -> None:
    """Store a new hash for a user, unless the one just read was replaced meanwhile.

    Past the ORM, which would count a version: nothing that has an ETag changes.
    """
    unchanged = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
    db.session.execute(unchanged.values(password_hash=hash_password(password)))

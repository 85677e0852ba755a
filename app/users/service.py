"""Rules about users that concern more than one row."""

from typing import Any
from uuid import UUID

from blinker import Signal
from sqlalchemy import Row, select, update

from app.core.database.mixins import same_version
from app.core.security.authorization import Caller
from app.core.web.problems import Problem
from app.core.web.request_state import request_state
from app.extensions import db
from app.users.models import User

user_deactivated = Signal(
    "An admin disables an account. The sender is the user's id; receivers run in the transaction."
)
user_deleted = Signal(
    "An account is deleted. The sender is the user's id; receivers run in the transaction."
)


def ensure_another_active_admin(excluding: UUID | None) -> None:
    """Check that an active admin remains without this user; locks the admins until the commit.

    Raises:
        Problem: 409, this user is the last active admin.
    """
    active_admins = (
        select(User.id)
        .where(User.role == "admin", User.is_active)
        .order_by(User.id)
        .with_for_update()
    )
    if db.session.scalars(active_admins).all() == [excluding]:
        raise Problem("conflict", "The last active admin cannot be removed, demoted or disabled.")


def lock_user(user_id: UUID | None) -> User:
    """Lock a user until the commit, as logins do.

    Raises:
        Problem: 404, there is no such user.
    """
    locked = select(User).where(User.id == user_id).with_for_update(key_share=True)
    user: User | None = db.session.scalar(locked)
    if user is None:
        raise Problem("not-found")
    return user


def set_caller(user: User | Row[Any]) -> None:
    """Make a user the caller of the request, whom the audit log and the request log name."""
    request_state().caller = Caller(id=user.id, role=user.role)


def update_password_hash(user: User | Row[Any], new_hash: str) -> bool:
    """Replace the hash of a password; False if another request has replaced it."""
    unchanged = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
    # No member of the resource changes.
    values = {"password_hash": new_hash, **same_version(User)}
    replaced = db.session.execute(unchanged.values(values).returning(User.id))
    return replaced.first() is not None

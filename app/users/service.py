"""Rules about users that span rows."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from app.auth import throttling
from app.auth.mail_tokens import withdraw
from app.auth.passwords import hash_password, verify_password
from app.auth.policy import flaw
from app.auth.sessions import end_sessions
from app.extensions import db
from app.kit import database
from app.kit.access import caller
from app.kit.changes import record
from app.kit.problems import Problem
from app.users.models import ONESELF, User

_OWN_EMAIL = ONESELF.with_only_columns(User.email)


def keep_an_admin(besides: UUID | None) -> None:
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
    if db.session.scalars(active_admins).all() == [besides]:
        raise Problem("conflict", "The last active admin cannot be removed, demoted or disabled.")


def change_password(current_password: str, new_password: str) -> None:
    """Give the caller a new password; all their other sessions end.

    Raises:
        Problem: 422, the present password is not right, or the new one not good enough; 429, too
            many attempts failed, here and at logins together.
    """
    for (email,) in database.read(_OWN_EMAIL, {"caller_id": caller.id}):
        throttling.count_attempt(email)
    user = db.session.get(User, caller.id, with_for_update=True)
    if user is None:
        raise Problem("not-found")
    if not verify_password(user.password_hash, current_password):
        place = {"detail": "Is not the present password.", "pointer": "#/current_password"}
        raise Problem("validation-error", errors=[place])
    throttling.forgive(user.email)
    choose_password(user, new_password)
    record("change_password", "users", user.id)
    end_sessions(user.id, besides=caller.session_id)


def choose_password(user: User, new_password: str) -> None:
    """Store the hash of a password that a user has chosen; mailed tokens for another are void.

    Raises:
        Problem: 422, it is not good enough for this user.
    """
    if found := flaw(new_password, user.email, user.name):
        place = {"detail": found, "pointer": "#/new_password"}
        raise Problem("validation-error", errors=[place])
    replace_password(user, new_password)
    withdraw(user.id)


def replace_password(user: User | Row[Any], password: str) -> None:
    """Store a new hash for a user, unless the one just read was replaced meanwhile.

    Past the ORM, which would count a version: nothing that has an ETag changes.
    """
    unchanged = update(User).where(User.id == user.id, User.password_hash == user.password_hash)
    db.session.execute(unchanged.values(password_hash=hash_password(password)))

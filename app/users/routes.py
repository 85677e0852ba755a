"""Users: anyone registers, everybody looks after their own account, admins after all."""

from typing import Any
from uuid import UUID

from app.auth.mail_tokens import VERIFY, ask_for_mail
from app.auth.passwords import hash_password
from app.auth.sessions import end_sessions
from app.kit.access import anyone, caller, can, signed_in
from app.kit.blueprint import Blueprint
from app.kit.rows import Visible
from app.users import service
from app.users.models import ONESELF, User
from app.users.schemas import (
    PasswordChangeSchema,
    RegistrationSchema,
    UserAdminSchema,
    UserQuery,
    UserSchema,
)

users = Blueprint("users", __name__, url_prefix="/users", description="Accounts.")


@users.post("", access=anyone, limit="REGISTER_RATE_LIMIT")
@users.body(RegistrationSchema)
@users.creates(UserSchema)
@users.refuses(409, "The e-mail address is registered already.")
def register(data: dict[str, Any]) -> User:
    """Register.

    The new account has the role `user` and can log in at once. A mail asks to confirm the address.
    """
    ask_for_mail(VERIFY, email=data["email"])
    return User(password_hash=hash_password(data.pop("password")), **data)


@users.get("", access=can("users:manage"))
@users.page(UserSchema, UserQuery)
def list_users() -> Visible:
    """List users."""
    return User.visible_to(caller)


@users.get("/me", access=signed_in)
@users.item(UserSchema)
def read_me() -> Visible:
    """Read one's own account."""
    return ONESELF


@users.patch("/me", access=signed_in)
@users.body(UserSchema, partial=True)
@users.changes(UserSchema)
def change_me(data: dict[str, Any]) -> tuple[Visible, dict[str, Any]]:
    """Change one's own account."""
    return ONESELF, data


@users.delete("/me", access=signed_in)
@users.deletes(UserSchema)
@users.refuses(409, "The caller is the last active admin.")
def delete_me() -> Visible:
    """Delete one's own account, with everything in it."""
    service.keep_an_admin(besides=caller.id)
    return ONESELF


@users.put("/me/password", access=signed_in)
@users.body(PasswordChangeSchema)
@users.answers(204)
def change_password(data: dict[str, Any]) -> None:
    """Change one's own password; the present one must be given."""
    service.change_password(**data)


@users.get("/<uuid:user_id>", access=signed_in)
@users.item(UserSchema)
def read_user(user_id: UUID) -> Visible:
    """Read a user: anyone for admins, else only oneself."""
    return User.visible_to(caller)


@users.patch("/<uuid:user_id>", access=can("users:manage"))
@users.body(UserAdminSchema, partial=True)
@users.changes(UserSchema)
@users.refuses(409, "This is the last active admin.")
def change_user(data: dict[str, Any], user_id: UUID) -> tuple[Visible, dict[str, Any]]:
    """Change a user's role, or disable or enable the account.

    Either counts from the user's next request on. Disabling ends all sessions.
    """
    if data.get("role", "admin") != "admin" or not data.get("is_active", True):
        service.keep_an_admin(besides=user_id)
    if not data.get("is_active", True):
        end_sessions(user_id)
    return User.visible_to(caller), data


@users.delete("/<uuid:user_id>", access=can("users:manage"))
@users.deletes(UserSchema)
@users.refuses(409, "This is the last active admin.")
def delete_user(user_id: UUID) -> Visible:
    """Delete a user, with everything in the account."""
    service.keep_an_admin(besides=user_id)
    return User.visible_to(caller)

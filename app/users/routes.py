"""Routes of /users: the caller's account, and all accounts for admins.

Registration, the change of a password and the end of sessions are in `app.auth.user_routes`.
"""

from typing import Any
from uuid import UUID

from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import authenticated, current_caller, permission
from app.users import service
from app.users.models import CURRENT_USER, User
from app.users.schemas import UserAdminSchema, UserQuery, UserSchema

users = Blueprint("users", __name__, url_prefix="/api/v1/users", description="Accounts.")


@users.get("", access=permission("users:manage"))
@users.paginated(UserSchema, UserQuery)
def list_users() -> ScopedSelect:
    """List users."""
    return User.visible_to(current_caller)


@users.get("/me", access=authenticated)
@users.returns(UserSchema)
def read_me() -> ScopedSelect:
    """Read the caller's account."""
    return CURRENT_USER


@users.patch("/me", access=authenticated)
@users.body(UserSchema, partial=True)
@users.updates(UserSchema)
def update_me(data: dict[str, Any]) -> tuple[ScopedSelect, dict[str, Any]]:
    """Update the caller's account."""
    return CURRENT_USER, data


@users.delete("/me", access=authenticated)
@users.deletes(UserSchema)
@users.error(409, "The caller is the last active admin.")
@users.queries(2)
def delete_me() -> ScopedSelect:
    """Delete the caller's account and all data in it."""
    service.ensure_another_active_admin(excluding=current_caller.id)
    service.user_deleted.send(current_caller.id)
    return CURRENT_USER


@users.get("/<uuid:user_id>", access=authenticated)
@users.returns(UserSchema)
def read_user(user_id: UUID) -> ScopedSelect:
    """Read a user.

    Callers without `users:manage` can only read themselves.
    """
    return User.visible_to(current_caller)


@users.patch("/<uuid:user_id>", access=permission("users:manage"))
@users.body(UserAdminSchema, partial=True)
@users.updates(UserSchema)
@users.error(409, "This is the last active admin.")
@users.queries(1)
def update_user(data: dict[str, Any], user_id: UUID) -> tuple[ScopedSelect, dict[str, Any]]:
    """Update a user's role, or disable or enable the account.

    The change applies to the user's next request. Disabling revokes all sessions of the user.
    """
    if data.get("role", "admin") != "admin" or not data.get("is_active", True):
        service.ensure_another_active_admin(excluding=user_id)
    if not data.get("is_active", True):
        service.user_deactivated.send(user_id)
    return User.visible_to(current_caller), data


@users.delete("/<uuid:user_id>", access=permission("users:manage"))
@users.deletes(UserSchema)
@users.error(409, "This is the last active admin.")
@users.queries(2)
def delete_user(user_id: UUID) -> ScopedSelect:
    """Delete a user and all data in the account."""
    service.ensure_another_active_admin(excluding=user_id)
    service.user_deleted.send(user_id)
    return User.visible_to(current_caller)

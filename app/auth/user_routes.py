"""Routes of /users that need mailed tokens, sessions or throttling.

They are on the blueprint of `app.users`, which does not import `app.auth`.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from app.auth import accounts, sessions
from app.auth.email_tokens import VERIFY, request_token_email
from app.auth.schemas import PasswordChangeSchema
from app.core.security.authorization import authenticated, no_auth, permission
from app.users.models import User
from app.users.passwords import hash_password
from app.users.routes import users
from app.users.schemas import RegistrationSchema, UserSchema
from app.users.service import lock_user

# Of an admin in person, not with an API key.
MANAGE_CREDENTIALS = replace(permission("users:manage"), needs_recent_login=True)


def _hash_new_password(data: dict[str, Any]) -> None:
    data["password_hash"] = hash_password(data.pop("password"))


@users.post("", access=no_auth, rate_limit="REGISTER_RATE_LIMIT")
@users.body(RegistrationSchema, prepare=_hash_new_password)
@users.creates(UserSchema)
@users.error(409, "The e-mail address is already registered.")
@users.queries(1)
def register(data: dict[str, Any]) -> User:
    """Register an account.

    It has the role `user` and can log in immediately. A mail with a link to verify the e-mail
    address is sent.
    """
    request_token_email(VERIFY, email=data["email"])
    return User(**data)


@users.put("/me/password", access=authenticated)
@users.body(PasswordChangeSchema)
@users.response(204)
@users.error(401, "The account has a second factor and needs a recent login.")
@users.queries(11)
def change_password(data: dict[str, Any]) -> None:
    """Change the caller's password; requires the current one."""
    accounts.change_password(**data)


@users.delete("/<uuid:user_id>/sessions", access=MANAGE_CREDENTIALS)
@users.response(204)
@users.queries(4)
def revoke_sessions_of_user(user_id: UUID) -> None:
    """Revoke all sessions of a user.

    The account remains active, and its API keys remain valid.
    """
    sessions.revoke_sessions(lock_user(user_id).id)

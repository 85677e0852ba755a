"""What the user routes take and give."""

from typing import Any

from flask import current_app

from app.auth.permissions import ROLES
from app.kit.fields import Boolean, Choice, Email, Text
from app.kit.pages import PageQuery, Sort, where
from app.kit.schema import ResourceSchema, Schema
from app.kit.search import matches
from app.users.models import User


class Password(Text):
    """A password to be set: long enough, any characters, nothing else asked of it."""

    default_error_messages = {"short": "Must have at least {least} characters."}

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": "correct horse battery staple", "format": "password"}
        super().__init__(least=1, most=1024, load_only=True, metadata=metadata, **kwargs)

    def described(self) -> dict[str, Any]:
        """JSON Schema keywords for the document; the length is a setting."""
        return super().described() | {"minLength": current_app.config["PASSWORD_MIN_LENGTH"]}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        password = super()._deserialize(value, *args, **kwargs)
        least = current_app.config["PASSWORD_MIN_LENGTH"]
        if len(password) < least:
            raise self.make_error("short", least=least)
        return password


class UserSchema(ResourceSchema):
    """A user as others see them."""

    email = Email(dump_only=True)
    name = Text(least=1, most=100, required=True, metadata={"example": "Ada Lovelace"})
    role = Choice(list(ROLES), dump_only=True)
    is_active = Boolean(dump_only=True)


class RegistrationSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})
    name = Text(least=1, most=100, required=True, metadata={"example": "Ada Lovelace"})
    password = Password(required=True)


class PasswordChangeSchema(Schema):
    """A new password, and the present one as proof."""

    current_password = Text(
        most=1024, required=True, load_only=True, metadata={"format": "password"}
    )
    new_password = Password(required=True)


class UserAdminSchema(Schema):
    """What an admin may change of a user."""

    role = Choice(list(ROLES), required=True)
    is_active = Boolean(required=True)


class UserQuery(PageQuery):
    """Which users, in which order."""

    role = where(Choice(list(ROLES)), lambda value: User.role == value)
    is_active = where(Boolean(), lambda value: User.is_active == value)
    q = where(
        Text(least=1, most=200, metadata={"description": "Words of the name or e-mail address."}),
        lambda words: matches(words, User.name, User.email),
    )
    sort = Sort({"created_at": User.created_at, "email": User.email}, default="-created_at")

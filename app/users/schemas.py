"""What the user routes take and give."""

from typing import Any

from marshmallow import ValidationError, validates_schema

from app.auth.permissions import ROLES
from app.auth.policy import Password, flaw
from app.kit.fields import Boolean, Choice, Email, Text, Timestamp
from app.kit.pages import PageQuery, Sort, where
from app.kit.schema import ResourceSchema, Schema
from app.kit.search import matches
from app.users.models import User


class UserSchema(ResourceSchema):
    """A user as others see them."""

    email = Email(dump_only=True)
    name = Text(least=1, most=100, required=True, metadata={"example": "Ada Lovelace"})
    role = Choice(list(ROLES), dump_only=True)
    is_active = Boolean(dump_only=True)
    email_verified_at = Timestamp(dump_only=True, allow_none=True)


class RegistrationSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})
    name = Text(least=1, most=100, required=True, metadata={"example": "Ada Lovelace"})
    password = Password(required=True)

    @validates_schema
    def _is_not_about_its_owner(self, data: dict[str, Any], **_: Any) -> None:
        if found := flaw(data["password"], data["email"], data["name"]):
            raise ValidationError(found, "password")


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

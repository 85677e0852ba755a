"""Schemas of /users."""

from typing import Any

from marshmallow import ValidationError, validates_schema

from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, Sort, filter_by
from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Boolean, DateTime, Email, Enum, String
from app.core.schemas.text_fields import Name
from app.users.models import User
from app.users.password_policy import Password, password_error
from app.users.roles import ROLES


class UserSchema(ResourceSchema):
    """A user."""

    email = Email(dump_only=True)
    name = Name(max_length=100, required=True, metadata={"example": "Ada Lovelace"})
    role = Enum(list(ROLES), dump_only=True)
    is_active = Boolean(dump_only=True)
    email_verified_at = DateTime(dump_only=True, allow_none=True)


class RegistrationSchema(Schema):
    """A new account."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})
    name = Name(max_length=100, required=True, metadata={"example": "Ada Lovelace"})
    password = Password(required=True)

    @validates_schema
    def _check_password(self, data: dict[str, Any], **_: Any) -> None:
        if error := password_error(data["password"], data["email"], data["name"]):
            raise ValidationError(error, "password")


class UserAdminSchema(Schema):
    """The members of a user that an admin can update."""

    role = Enum(list(ROLES), required=True)
    is_active = Boolean(required=True)


class UserQuery(PageQuery):
    """Filters and order of users."""

    role = filter_by(Enum(list(ROLES)), lambda value: User.role == value)
    is_active = filter_by(Boolean(), lambda value: User.is_active == value)
    q = filter_by(
        String(
            min_length=1,
            max_length=200,
            metadata={"description": "Words in the name or e-mail address."},
        ),
        lambda words: matches(words, User.name, User.email),
    )
    sort = Sort({"created_at": User.created_at, "email": User.email}, default="-created_at")

"""Schemas of the authentication routes."""

import marshmallow as ma

from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import UUID, DateTime, Email, Enum, Integer, String
from app.core.schemas.text_fields import Name
from app.users.password_policy import Password
from app.users.roles import ROLES

_REFRESH_TOKEN = "AZqfPHsefFiKUj8rbRyeB" + "0" * 43


class LoginSchema(Schema):
    """Credentials."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})
    password = String(
        max_length=1024,
        required=True,
        load_only=True,
        metadata={"example": "correct horse battery staple", "format": "password"},
    )


class EmailAddressSchema(Schema):
    """The e-mail address of an account."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})


class EmailTokenSchema(Schema):
    """A token from a mail."""

    token = String(min_length=1, max_length=200, required=True, metadata={"example": "A" * 43})


class PasswordResetSchema(EmailTokenSchema):
    """A new password, and a token from a mail."""

    new_password = Password(required=True)


class PasswordChangeSchema(Schema):
    """A new password, and the current one."""

    current_password = String(
        max_length=1024, required=True, load_only=True, metadata={"format": "password"}
    )
    new_password = Password(required=True)


class RefreshSchema(Schema):
    """The current refresh token."""

    refresh_token = String(
        min_length=1, max_length=200, required=True, metadata={"example": _REFRESH_TOKEN}
    )


class TokensSchema(Schema):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token = String(
        max_length=2048, required=True, metadata={"example": "eyJhbGciOi.eyJpc3MiOi.c2ln"}
    )
    token_type = Enum(["Bearer"], required=True)
    expires_in = Integer(
        min=1,
        max=86400,
        required=True,
        metadata={"description": "Seconds until the access token expires.", "example": 600},
    )
    refresh_token = String(max_length=200, required=True, metadata={"example": _REFRESH_TOKEN})


class CookiesSchema(Schema):
    """The lifetime of the cookies, and the CSRF token."""

    expires_in = Integer(
        min=1,
        max=86400,
        required=True,
        metadata={"description": "Seconds until the cookies must be refreshed.", "example": 600},
    )
    csrf_token = String(
        max_length=64,
        required=True,
        metadata={"description": "Value of the header field `X-CSRF-Token`.", "example": "5e" * 32},
    )


class SessionSchema(ResourceSchema):
    """A session, created by a login."""

    user_agent = String(max_length=500, allow_none=True, dump_only=True)
    ip_address = String(max_length=100, allow_none=True, dump_only=True)
    methods = ma.fields.List(
        String(max_length=30),
        dump_only=True,
        validate=ma.validate.Length(max=10),
        metadata={"description": "How the user has logged in.", "example": ["password"]},
    )
    last_used_at = DateTime(dump_only=True)
    expires_at = DateTime(dump_only=True)


class SessionOwnerSchema(Schema):
    """The members of a session that the audit log records."""

    owner_id = UUID(dump_only=True)


class ApiKeySchema(ResourceSchema):
    """An API key, without its secret."""

    name = Name(max_length=100, required=True, metadata={"example": "Nightly import"})
    scopes = ma.fields.List(
        Enum(sorted(ROLES["admin"])),
        required=True,
        validate=ma.validate.Length(min=1, max=20),
        metadata={
            "example": sorted(ROLES["user"] or ROLES["admin"])[:1],
            "description": "The permissions of the key, if its owner has them.",
        },
    )
    expires_at = DateTime(allow_none=True, metadata={"example": "2099-01-31T18:00:00Z"})
    prefix = String(max_length=12, dump_only=True, metadata={"example": "key_AZqfPHse"})
    last_used_at = DateTime(dump_only=True, allow_none=True)


class NewApiKeySchema(ApiKeySchema):
    """A new API key, with its secret, which is not returned again."""

    secret = String(
        max_length=100,
        dump_only=True,
        metadata={"show_once": True, "example": "key_" + _REFRESH_TOKEN},
    )

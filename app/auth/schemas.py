"""What the login routes take and give."""

import marshmallow as ma

from app.auth.models import ApiKey, Session
from app.auth.permissions import ROLES
from app.auth.policy import Password
from app.kit.fields import Choice, Email, Integer, Text, Timestamp
from app.kit.pages import PageQuery, Sort
from app.kit.schema import ResourceSchema, Schema

_REFRESH_TOKEN = "AZqfPHsefFiKUj8rbRyeB" + "0" * 43


class LoginSchema(Schema):
    """Credentials."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})
    password = Text(
        most=1024,
        required=True,
        load_only=True,
        metadata={"example": "correct horse battery staple", "format": "password"},
    )


class AddressSchema(Schema):
    """Where to send a mail."""

    email = Email(required=True, metadata={"example": "ada1@example.com"})


class MailTokenSchema(Schema):
    """A token that came by mail."""

    token = Text(least=1, most=200, required=True, metadata={"example": "A" * 43})


class PasswordResetSchema(MailTokenSchema):
    """A new password, and a token that came by mail as proof."""

    new_password = Password(required=True)


class RefreshSchema(Schema):
    """A refresh token, as the last answer gave it."""

    refresh_token = Text(least=1, most=200, required=True, metadata={"example": _REFRESH_TOKEN})


class TokensSchema(Schema):
    """A pair of tokens (RFC 6749 section 5.1)."""

    access_token = Text(
        most=2048, required=True, metadata={"example": "eyJhbGciOi.eyJpc3MiOi.c2ln"}
    )
    token_type = Choice(["Bearer"], required=True)
    expires_in = Integer(
        least=1,
        most=86400,
        required=True,
        metadata={"description": "Seconds until the access token expires.", "example": 600},
    )
    refresh_token = Text(most=200, required=True, metadata={"example": _REFRESH_TOKEN})


class CookiesSchema(Schema):
    """What a page needs to know of the cookies that it was given."""

    expires_in = Integer(
        least=1,
        most=86400,
        required=True,
        metadata={"description": "Seconds until they are to be refreshed.", "example": 600},
    )
    csrf_token = Text(
        most=64,
        required=True,
        metadata={"description": "To be sent as `X-CSRF-Token`.", "example": "5e" * 32},
    )


class SessionSchema(ResourceSchema):
    """A login."""

    user_agent = Text(most=500, allow_none=True, dump_only=True)
    address = Text(most=100, allow_none=True, dump_only=True)
    last_used_at = Timestamp(dump_only=True)
    expires_at = Timestamp(dump_only=True)


class SessionQuery(PageQuery):
    """The caller's sessions, in which order."""

    sort = Sort({"created_at": Session.created_at}, default="-created_at")


class ApiKeySchema(ResourceSchema):
    """A machine's credential, without its secret."""

    name = Text(least=1, most=100, required=True, metadata={"example": "Nightly import"})
    scopes = ma.fields.List(
        Choice(sorted(ROLES["admin"])),
        required=True,
        validate=ma.validate.Length(min=1, max=20),
        metadata={"example": ["tasks:own"], "description": "What it may do, as far as you may."},
    )
    expires_at = Timestamp(allow_none=True, metadata={"example": "2099-01-31T18:00:00Z"})
    prefix = Text(most=12, dump_only=True, metadata={"example": "key_AZqfPHse"})
    last_used_at = Timestamp(dump_only=True, allow_none=True)


class NewApiKeySchema(ApiKeySchema):
    """A machine's credential, with its secret: this is the only time that it is shown."""

    secret = Text(
        most=100, dump_only=True, metadata={"transient": True, "example": "key_" + _REFRESH_TOKEN}
    )


class ApiKeyQuery(PageQuery):
    """The caller's API keys, in which order."""

    sort = Sort({"created_at": ApiKey.created_at}, default="-created_at")

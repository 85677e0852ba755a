"""What the login routes take and give."""

from app.auth.models import Session
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


class SessionSchema(ResourceSchema):
    """A login."""

    user_agent = Text(most=500, allow_none=True, dump_only=True)
    address = Text(most=100, allow_none=True, dump_only=True)
    last_used_at = Timestamp(dump_only=True)
    expires_at = Timestamp(dump_only=True)


class SessionQuery(PageQuery):
    """The caller's sessions, in which order."""

    sort = Sort({"created_at": Session.created_at}, default="-created_at")

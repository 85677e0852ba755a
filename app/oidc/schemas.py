"""Schemas of the OpenID Connect routes."""

import re
from typing import Any

from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import Integer, String

# A native client listens on a port of its own machine (RFC 8252 section 7.3). Not localhost, whose
# address may be another's (section 8.3).
LOOPBACK_URI = r"^http://(127\.0\.0\.1|\[::1\]):[1-9][0-9]{0,4}(/[A-Za-z0-9._~-]*)*$"
# A path of this origin, without a fragment. Browsers take // and /\ for another host.
LOCAL_PATH = r"^/([!\x22$-.0-\[\]-~][!\x22$-\[\]-~]*)?$"


class PatternString(String):
    """A string that matches a pattern of JSON Schema and Python."""

    default_error_messages = {"pattern": "Does not match the pattern {pattern}"}

    def __init__(self, pattern: str, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.pattern = pattern

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"pattern": self.pattern}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if not re.search(self.pattern, text) or text.endswith("\n"):
            raise self.make_error("pattern", pattern=self.pattern)
        return text


class ProviderSchema(Schema):
    """A provider."""

    provider = PatternString(
        "^[a-z][a-z0-9]{0,29}$",
        max_length=30,
        required=True,
        metadata={"description": "A name in OIDC_PROVIDERS.", "example": "example"},
    )


class NativeFlowSchema(ProviderSchema):
    """The start of a login or of linking an identity, in a native client."""

    redirect_uri = PatternString(
        LOOPBACK_URI,
        max_length=200,
        required=True,
        metadata={
            "description": "Where the client listens for the response (RFC 8252 section 7.3).",
            "example": "http://127.0.0.1:49152/callback",
        },
    )


class LinkSchema(ProviderSchema):
    """The start of linking an identity, in a browser."""

    return_to = PatternString(
        LOCAL_PATH,
        max_length=500,
        load_default="/",
        metadata={
            "description": "The path of this origin to which the browser returns.",
            "example": "/account",
        },
    )


class BrowserQuery(Schema):
    """The query of a login in a browser."""

    return_to = PatternString(LOCAL_PATH, max_length=500, load_default="/")


class AuthorizationSchema(Schema):
    """Where the user logs in."""

    authorization_url = String(
        max_length=4000,
        required=True,
        metadata={
            "description": "The URL to open in the browser of the user.",
            "example": "https://login.example.com/authorize?client_id=service",
            "format": "uri",
        },
    )
    expires_in = Integer(
        min=1,
        max=86400,
        required=True,
        metadata={"description": "Seconds in which the login must be finished.", "example": 600},
    )


class NativeAuthorizationSchema(AuthorizationSchema):
    """Where the user logs in, and the secret that finishes the flow."""

    flow = String(
        max_length=2000,
        required=True,
        metadata={
            "description": "To be kept in memory, and sent with the response of the provider.",
            "example": "eyJwcm92aWRlciI6ImV4YW1wbGUifQ.aSo7Xw.c2ln",
        },
    )


class NativeResponseSchema(Schema):
    """The response of the provider to a native client: the parameters of the redirect."""

    flow = String(
        min_length=1,
        max_length=2000,
        required=True,
        load_only=True,
        metadata={"example": "eyJwcm92aWRlciI6ImV4YW1wbGUifQ.aSo7Xw.c2ln"},
    )
    state = String(
        min_length=1, max_length=200, required=True, metadata={"example": "c3RhdGU" + "0" * 36}
    )
    code = String(min_length=1, max_length=2000, required=True, metadata={"example": "SplxlOBe"})
    iss = String(
        max_length=500,
        load_default=None,
        metadata={
            "description": "Required if the provider sends it (RFC 9207).",
            "example": "https://login.example.com",
        },
    )


class IdentitySchema(ResourceSchema):
    """An account at a provider that is linked to a user."""

    issuer = String(
        max_length=500, dump_only=True, metadata={"example": "https://login.example.com"}
    )
    subject = String(max_length=255, dump_only=True, metadata={"example": "248289761001"})

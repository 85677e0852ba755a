"""Schemas of factors, recovery codes and the logins that they complete."""

import marshmallow as ma

from app.core.schemas.base import ResourceSchema, Schema
from app.core.schemas.fields import DateTime, Enum, String
from app.core.schemas.text_fields import Name
from app.mfa.models import PASSKEY, TOTP

_TOKEN = "AZqfPHsefFiKUj8rbRyeB" + "0" * 43
_BYTES = "rYX1ZgnBpXqFjXPtWyWbWw"


class FactorSchema(ResourceSchema):
    """A second factor."""

    name = Name(max_length=100, required=True, metadata={"example": "Phone"})
    kind = Enum([TOTP, PASSKEY], dump_only=True)
    confirmed_at = DateTime(
        dump_only=True,
        allow_none=True,
        metadata={"description": "When it was proved; before, it is not in use."},
    )
    last_used_at = DateTime(dump_only=True, allow_none=True)


class NewFactorSchema(FactorSchema):
    """A new TOTP factor, with its secret, which is not returned again."""

    secret = String(
        max_length=32,
        dump_only=True,
        metadata={
            "show_once": True,
            "example": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "description": "In base32: SHA-1, 6 digits, 30 seconds (RFC 6238).",
        },
    )
    otpauth_uri = String(
        max_length=1000,
        dump_only=True,
        metadata={
            "show_once": True,
            "example": "otpauth://totp/service:ada%40example.com?secret=JBSWY3DPEHPK3PXP",
            "description": "The same, for a QR code.",
        },
    )


class EnrolmentSchema(Schema):
    """The secret of a new TOTP factor."""

    secret = String(
        max_length=32, required=True, metadata={"example": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
    )
    otpauth_uri = String(
        max_length=1000,
        required=True,
        metadata={"example": "otpauth://totp/service:ada%40example.com?secret=JBSWY3DPEHPK3PXP"},
    )


class CodeSchema(Schema):
    """A code of an app."""

    code = String(
        min_length=1, max_length=50, required=True, load_only=True, metadata={"example": "492039"}
    )


class MfaTokenSchema(Schema):
    """The token of an interrupted login."""

    mfa_token = String(max_length=500, required=True, metadata={"example": _TOKEN})


class CodeLoginSchema(MfaTokenSchema):
    """The token of an interrupted login, and a code of an app or a recovery code."""

    code = String(
        min_length=1, max_length=50, required=True, load_only=True, metadata={"example": "492039"}
    )


class RecoveryCodesSchema(Schema):
    """New recovery codes, which are not returned again."""

    recovery_codes = ma.fields.List(
        String(max_length=27),
        required=True,
        validate=ma.validate.Length(max=10),
        metadata={"example": ["ABCDEF-GHIJKL-MNOPQR-STUVWX"]},
    )


class PasskeyOptionsQuerySchema(Schema):
    """For whom: of an interrupted login its user, without a token anybody with a passkey."""

    mfa_token = String(max_length=500, metadata={"example": _TOKEN})


class PasskeyOptionsSchema(Schema):
    """What a page gives to the browser (WebAuthn level 2 section 5)."""

    options = ma.fields.Dict(
        required=True,
        metadata={
            "example": {"challenge": _BYTES, "rpId": "example.com", "userVerification": "required"},
            "description": "The argument of `parseCreationOptionsFromJSON` or "
            "`parseRequestOptionsFromJSON` of `PublicKeyCredential`.",
        },
    )


_CREDENTIAL = {
    "id": _BYTES,
    "rawId": _BYTES,
    "type": "public-key",
    "response": {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"},
}


class PasskeySchema(Schema):
    """A new passkey."""

    name = Name(max_length=100, required=True, metadata={"example": "Laptop"})
    credential = ma.fields.Dict(
        required=True,
        metadata={
            "example": _CREDENTIAL,
            "description": "The credential as `toJSON()` returns it.",
        },
    )


class PasskeyLoginSchema(PasskeyOptionsQuerySchema):
    """The response of a passkey; as a second factor, the token of the interrupted login as well."""

    credential = ma.fields.Dict(
        required=True,
        metadata={
            "example": _CREDENTIAL,
            "description": "The credential as `toJSON()` returns it.",
        },
    )

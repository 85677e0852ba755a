"""The claims of ID tokens and logout tokens, whose signature has been verified."""

import time
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry, Token

LEEWAY = 30  # seconds that clocks may differ
MAX_SUBJECT = 255  # characters (OpenID Connect Core section 2)
MAX_LOGOUT_AGE = 600  # seconds from issue to expiry; two minutes are recommended
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

JSON = dict[str, Any]


class InvalidTokenError(Exception):
    """A token or response is not what the protocol requires; the text names the claim."""


def check_id_token(
    token: Token, issuer: str, client_id: str, nonce: str, access_token: Any
) -> JSON:
    """Return the claims of an ID token (OpenID Connect Core section 3.1.3.7).

    Raises:
        InvalidTokenError: a claim is missing or wrong.
    """
    options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True}}
    params = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    claims = CodeIDToken(token.claims, token.header, options, params)
    try:
        claims.validate(leeway=LEEWAY)
    except (JoseError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InvalidTokenError(str(error)) from error
    _check_common(claims, client_id)
    _check_text(claims, "sub")
    return dict(claims)


def check_logout_token(token: Token, issuer: str, client_id: str) -> JSON:
    """Return the claims of a logout token (OpenID Connect Back-Channel Logout section 2.6).

    Raises:
        InvalidTokenError: a claim is missing or wrong.
    """
    claims, required = token.claims, {"essential": True}
    registry = JWTClaimsRegistry(
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        **dict.fromkeys(("aud", "iat", "exp", "jti"), required),  # type: ignore[arg-type]
    )
    try:
        registry.validate(claims)
    except (JoseError, ValueError, TypeError) as error:
        raise InvalidTokenError(str(error)) from error
    _check_common(claims, client_id)
    # Another token of the provider must not be taken for one of logout (RFC 8725 section 3.11).
    if str(token.header.get("typ")).lower().removeprefix("application/") != "logout+jwt":
        raise InvalidTokenError("typ")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise InvalidTokenError("events")
    if "nonce" in claims:
        raise InvalidTokenError("nonce")
    if claims["exp"] > time.time() + MAX_LOGOUT_AGE:
        raise InvalidTokenError("exp")
    if "sub" not in claims and "sid" not in claims:
        raise InvalidTokenError("sub")
    for name in claims.keys() & {"sub", "sid"}:
        _check_text(claims, name)
    return claims


def _check_common(claims: JSON, client_id: str) -> None:
    # The libraries accept further audiences, which are other clients (section 3.1.3.7).
    if claims["aud"] not in (client_id, [client_id]):
        raise InvalidTokenError("aud")


def _check_text(claims: JSON, name: str) -> None:
    text = claims[name]
    if not isinstance(text, str) or not 0 < len(text) <= MAX_SUBJECT or "\x00" in text:
        raise InvalidTokenError(name)

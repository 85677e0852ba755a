"""Access tokens: what is in them, and how a request's caller is read from one (RFC 9068, 8725)."""

import hmac
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask, request
from flask_jwt_extended import create_access_token, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError

from app.auth import api_keys
from app.auth.models import Session
from app.auth.permissions import ROLES
from app.config import Settings
from app.extensions import jwt
from app.kit.access import ANONYMOUS, Caller, invalid_token

TYPE = "at+jwt"
REQUIRED_CLAIMS = ("iss", "aud", "sub", "sid", "role", "iat", "exp", "jti")
_FLAWS = (
    JWTExtendedException,
    PyJWTError,
    AttributeError,  # a claim of another JSON type than ours
    KeyError,
    TypeError,
    ValueError,
)


def init_app(app: Flask, settings: Settings) -> None:
    """Configure flask-jwt-extended: one algorithm, one key, every claim checked."""
    key = hmac.digest(settings.secret_key.encode(), b"access tokens", "sha256").hex()
    app.config |= {
        "JWT_SECRET_KEY": key,
        "JWT_ALGORITHM": "HS256",
        "JWT_DECODE_ALGORITHMS": ["HS256"],
        "JWT_TOKEN_LOCATION": ["headers"],
        "JWT_COOKIE_CSRF_PROTECT": False,
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=settings.access_token_minutes),
        "JWT_ENCODE_ISSUER": settings.token_issuer,
        "JWT_DECODE_ISSUER": settings.token_issuer,
        "JWT_ENCODE_AUDIENCE": settings.token_audience,
        "JWT_DECODE_AUDIENCE": settings.token_audience,
    }
    jwt.token_verification_loader(_is_complete)
    jwt.init_app(app)


def issue_access_token(session: Session, role: str) -> str:
    """A signed token for one session; with the role, so that a request knows it at once."""
    token: str = create_access_token(
        identity=str(session.owner_id),
        additional_claims={"sid": str(session.id), "role": role},
        additional_headers={"typ": TYPE},
    )
    return token


def load_caller() -> Caller:
    """The caller that the request's access token or API key names, or `ANONYMOUS` without one.

    Raises:
        Problem: 401 `invalid_token`, whatever is wrong with the token: one answer for all.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    sent = scheme.lower() == "bearer"
    if sent and token.startswith(api_keys.PREFIX):
        return api_keys.load_caller(token)
    if sent:  # flask-jwt-extended tells cases apart, RFC 9110 section 11.1 does not
        request.environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    try:
        verified = verify_jwt_in_request(optional=not sent)
        if verified is None:
            return ANONYMOUS
        claims = verified[1]
        return Caller(
            id=UUID(claims["sub"]),
            role=claims["role"],
            permissions=ROLES[claims["role"]],
            session_id=UUID(claims["sid"]),
        )
    except _FLAWS as error:
        raise invalid_token() from error


def _is_complete(header: dict[str, Any], claims: dict[str, Any]) -> bool:
    return header.get("typ") == TYPE and all(claims.get(name) for name in REQUIRED_CLAIMS)

"""Configuration of flask-jwt-extended.

`@jwt_required()`, `get_jwt_identity()` and `current_user` work on plain views as documented. They
accept the tokens that `app.auth.tokens` accepts, reject revoked sessions, and respond with
problem+json.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from flask_jwt_extended import JWTManager
from jwt.exceptions import InvalidTokenError
from jwt.utils import base64url_encode

from app.auth import cookies
from app.auth.signing_keys import Key, load_keys
from app.auth.state import AuthState, auth_state
from app.auth.tokens import has_valid_claims
from app.config import Settings
from app.core.security.authorization import (
    current_caller,
    invalid_token_problem,
    require_valid_session,
    unauthorized_problem,
)
from app.core.web import strict_json
from app.core.web.flask_app import Response
from app.extensions import db
from app.users.models import User

TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068 section 2.1
LEEWAY = 10  # seconds by which the clocks of two machines may differ

JSON = dict[str, Any]

jwt = JWTManager()


def init_app(app: Flask, settings: Settings) -> None:
    """Configure the extension: the first key signs, all keys verify.

    Raises:
        ConfigError: a key is not safe to use.
    """
    keys = load_keys(settings)
    app.config |= {
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=settings.access_token_minutes),
        "JWT_ENCODE_ISSUER": settings.token_issuer,
        "JWT_DECODE_ISSUER": settings.token_issuer,
        "JWT_ENCODE_AUDIENCE": settings.token_audience,
        "JWT_DECODE_AUDIENCE": settings.token_audience,
        "JWT_DECODE_LEEWAY": LEEWAY,
        "JWT_ALGORITHM": keys[0].algorithm,
        "JWT_SECRET_KEY" if keys[0].is_symmetric else "JWT_PRIVATE_KEY": keys[0].private,
        "JWT_DECODE_ALGORITHMS": sorted({key.algorithm for key in keys}),
    }
    headers = (base64url_encode(strict_json.dumps(_header(key))).decode() for key in keys)
    app.extensions["auth"] = AuthState({key.kid: key for key in keys}, frozenset(headers))
    cookies.init_app(app, enabled=settings.auth_cookies)
    jwt.init_app(app)


def _header(key: Key) -> JSON:
    """Return the header of tokens that the key signs, in PyJWT's order of members."""
    return {"alg": key.algorithm, "kid": key.kid, "typ": TOKEN_TYPE}


@jwt.additional_headers_loader
def _headers_of_new_token(_identity: str) -> JSON:
    return _header(next(iter(auth_state().keys.values())))


@jwt.decode_key_loader
def _decode_key(header: JSON, _claims: JSON) -> Any:
    """Return the key of the header. The key, not the header, determines the algorithm."""
    key = auth_state().keys.get(str(header.get("kid")))
    if key is None or header != _header(key):
        raise InvalidTokenError("The header is not one that this service issues.")
    return key.public


@jwt.token_in_blocklist_loader
def _is_revoked(_header: JSON, claims: JSON) -> bool:
    """Whether the session of the token was revoked, checked as on every other route."""
    # The library looks for the token by its own rules; it must be the one of `current_caller`.
    require_valid_session()
    return claims.get("sid") != str(current_caller.session_id)


@jwt.token_verification_loader
def _is_access_token(_header: JSON, claims: JSON) -> bool:
    return has_valid_claims(claims)


@jwt.user_lookup_loader
def _load_user(_header: JSON, claims: JSON) -> User | None:
    return db.session.get(User, UUID(claims["sub"]))


@jwt.unauthorized_loader
def _answer_missing_token(_reason: str) -> Response:
    return unauthorized_problem().get_response()


@jwt.needs_fresh_token_loader
def _answer_stale_login(_header: JSON, _claims: JSON) -> Response:
    error = "insufficient_user_authentication"  # RFC 9470 section 3
    return unauthorized_problem("A recent login is required.", error=error).get_response()


@jwt.expired_token_loader
@jwt.invalid_token_loader
@jwt.revoked_token_loader
@jwt.token_verification_failed_loader
@jwt.user_lookup_error_loader
def _answer_invalid_token(*_details: Any) -> Response:
    return invalid_token_problem().get_response()

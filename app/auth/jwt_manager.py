"""flask-jwt-extended, configured through its loaders.

`@jwt_required()`, `get_jwt_identity()` and `current_user` work on plain views as documented. They
accept what `app.auth.tokens` accepts, see revoked sessions, and answer problem+json.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask, current_app
from flask_jwt_extended import JWTManager
from jwt.exceptions import InvalidTokenError
from jwt.utils import base64url_encode

from app.auth import cookies
from app.auth.signing_keys import Key, load_keys
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
    """Configure flask-jwt-extended: the first key signs, all of them verify.

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
    app.extensions["token_keys"] = {key.kid: key for key in keys}
    app.extensions["token_headers"] = {
        base64url_encode(strict_json.dumps(_header(key))).decode() for key in keys
    }
    app.extensions["verified_tokens"] = {}
    cookies.init_app(app, enabled=settings.auth_cookies)
    jwt.init_app(app)


def _header(key: Key) -> JSON:
    """The header of all tokens that the key signs, in the order in which PyJWT writes it."""
    return {"alg": key.algorithm, "kid": key.kid, "typ": TOKEN_TYPE}


@jwt.additional_headers_loader
def _headers_of_new_token(_identity: str) -> JSON:
    keys: dict[str, Key] = current_app.extensions["token_keys"]
    return _header(next(iter(keys.values())))


@jwt.decode_key_loader
def _decode_key(header: JSON, _claims: JSON) -> Any:
    """The key that the header names, if it is a header of ours: the key decides the algorithm."""
    key: Key | None = current_app.extensions["token_keys"].get(str(header.get("kid")))
    if key is None or header != _header(key):
        raise InvalidTokenError("The header is not one that this service writes.")
    return key.public


@jwt.token_in_blocklist_loader
def _is_revoked(_header: JSON, claims: JSON) -> bool:
    """Whether the session of the token has ended, checked as on every other route."""
    # The library found a token in the request by its own rules; ours must find the same one.
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
    return unauthorized_problem("This needs a recent login.", error=error).get_response()


@jwt.expired_token_loader
@jwt.invalid_token_loader
@jwt.revoked_token_loader
@jwt.token_verification_failed_loader
@jwt.user_lookup_error_loader
def _answer_invalid_token(*_details: Any) -> Response:
    return invalid_token_problem().get_response()

"""Access tokens: their claims, and the authentication of requests with one.

flask-jwt-extended issues them (`app.auth.jwt_manager`) and verifies signature, times, issuer and
audience. Before that, a token must have the exact form that this service issues (RFC 9068, 8725).
"""

import re
import time
from typing import Any
from uuid import UUID

import structlog
from flask import current_app
from flask_jwt_extended import create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import InvalidTokenError, PyJWTError
from jwt.utils import base64url_decode
from sqlalchemy import Row

from app.auth import api_keys, cookies
from app.auth.models import Session
from app.auth.state import auth_state
from app.core.security.authorization import (
    ANONYMOUS,
    CHALLENGE,
    Caller,
    ignore_dead_cookie,
    invalid_token_problem,
)
from app.core.web import strict_json
from app.core.web.problems import Problem
from app.core.web.request_state import current_request, request_state
from app.users.roles import ROLES

TOKEN_CACHE_SIZE = 10_000  # tokens of about half a kilobyte
REQUIRED_CLAIMS = ("iss", "aud", "sub", "sid", "role", "iat", "nbf", "exp", "jti", "type")
_TIMES = ("iat", "nbf", "exp")
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)  # RFC 7515 section 7.1
_DECODE_ERRORS = (
    PyJWTError,
    JWTExtendedException,
    AttributeError,  # a claim of another JSON type than expected
    KeyError,  # an unknown header or role
    TypeError,
    ValueError,
)

log = structlog.get_logger()


def issue_access_token(session: Session | Row[Any], role: str) -> str:
    """Return a signed token of a session. Its claim `role` saves a query for each request."""
    token: str = create_access_token(
        identity=str(session.owner_id),
        additional_claims={"sid": str(session.id), "role": role},
    )
    return token


def decode_strictly(token: str) -> dict[str, Any]:
    """Return the claims of a valid access token.

    Raises:
        PyJWTError, JWTExtendedException, KeyError, TypeError, ValueError: it is invalid.
    """
    if not _COMPACT.fullmatch(token):
        raise InvalidTokenError("Not a JWT.")
    header, payload, _ = token.split(".")
    # The header is compared, not interpreted: a foreign alg, kid, jku or crit has no effect
    # (RFC 8725 sections 3.1, 3.10 and 3.11). docs/decisions.md#24-exact-token-headers
    if header not in auth_state().headers:
        raise InvalidTokenError("The header is not one that this service issues.")
    # PyJWT accepts duplicate names, which parsers resolve differently (RFC 7519 section 4).
    claims = strict_json.loads(base64url_decode(payload))
    if not isinstance(claims, dict) or not has_valid_claims(claims):
        raise InvalidTokenError("The claims are not those of an access token.")
    decode_token(token)
    return claims


def has_valid_claims(claims: dict[str, Any]) -> bool:
    """Whether all claims of an access token are present, in the JSON types that are issued."""
    # RFC 7519 allows fractions in times and lists of audiences; this service issues neither.
    return (
        all(claims.get(name) is not None for name in REQUIRED_CLAIMS)
        and all(type(claims[name]) is int for name in _TIMES)
        and claims["aud"] == current_app.config["JWT_DECODE_AUDIENCE"]
        and claims["type"] == "access"
    )


def load_caller() -> Caller:
    """Return the caller of the request's access token or API key; `ANONYMOUS` without one.

    Raises:
        Problem: 401 `invalid_token`, the same for every invalid token; 400, the request has a
            bearer token and cookies; 403, the token is in a cookie and the CSRF token is missing or
            wrong.
    """
    scheme, _, bearer = current_request().headers.get("Authorization", "").partition(" ")
    cookie = cookies.access_token_from_cookie()
    if scheme.lower() != "bearer":  # schemes are case-insensitive: RFC 9110 section 11.1
        if cookie is None and not cookies.is_session_left():
            return ANONYMOUS
        return _caller_from_cookie(cookie or "")
    if cookie is not None:  # RFC 6750 section 2
        challenge = f'{CHALLENGE}, error="invalid_request"'
        detail = "A request carries a bearer token or cookies, not both."
        raise Problem("bad-request", detail, headers={"WWW-Authenticate": challenge})
    if bearer.startswith(api_keys.PREFIX):
        return api_keys.load_caller(bearer)
    return _caller_from_token(bearer)


def _caller_from_cookie(token: str) -> Caller:
    try:
        caller = _caller_from_token(token)
    except Problem:
        if ignore_dead_cookie():
            return ANONYMOUS
        raise
    cookies.check_csrf(caller.session_id)
    request_state().caller_is_from_cookie = True
    return caller


def _caller_from_token(token: str) -> Caller:
    """Return the caller of an access token. Verified tokens are cached.

    The expiry is checked here at each request, the session by the statement that reads or writes.
    """
    # Verification costs 30 to 50 % of a request. The whole token is the key of the cache, since
    # others can copy a part of it: docs/decisions.md#23-verified-token-cache
    verified = auth_state().verified_tokens
    expires_at, caller = verified.get(token, (0, ANONYMOUS))
    if time.time() < expires_at:
        return caller
    try:
        claims = decode_strictly(token)
        caller = Caller(
            id=UUID(claims["sub"]),
            role=claims["role"],
            permissions=ROLES[claims["role"]],
            session_id=UUID(claims["sid"]),
        )
    except _DECODE_ERRORS as error:
        log.info("access_token_rejected", reason=type(error).__name__)
        raise invalid_token_problem() from error
    if len(verified) >= TOKEN_CACHE_SIZE:
        verified.clear()  # rare, and cheaper than an LRU list
    verified[token] = claims["exp"], caller
    return caller

"""Access tokens: what they contain, and how the caller of a request is read from one.

flask-jwt-extended issues them (`app.auth.jwt_manager`) and verifies signature, times, issuer and
audience. Before that, a token must have the form in which this service writes it (RFC 9068, 8725).
"""

import re
import time
from typing import Any
from uuid import UUID

import structlog
from flask import current_app, request
from flask_jwt_extended import create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import InvalidTokenError, PyJWTError
from jwt.utils import base64url_decode
from sqlalchemy import Row

from app.auth import api_keys, cookies
from app.auth.models import Session
from app.core.security.authorization import ANONYMOUS, CHALLENGE, Caller, invalid_token_problem
from app.core.web import strict_json
from app.core.web.problems import Problem
from app.users.roles import ROLES

TOKEN_CACHE_SIZE = 10_000  # tokens, of half a kilobyte each
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
    """A signed token for one session; it carries the role, which saves a query per request."""
    token: str = create_access_token(
        identity=str(session.owner_id),
        additional_claims={"sid": str(session.id), "role": role},
    )
    return token


def decode_strictly(token: str) -> dict[str, Any]:
    """The claims of a valid access token.

    Raises:
        PyJWTError, JWTExtendedException, KeyError, TypeError, ValueError: it is not valid.
    """
    if not _COMPACT.fullmatch(token):
        raise InvalidTokenError("This is no JWT.")
    header, payload, _ = token.split(".")
    # The header is compared, not interpreted: no alg, kid, jku or crit that somebody else wrote is
    # ever looked at (RFC 8725 sections 3.1, 3.10 and 3.11).
    if header not in current_app.extensions["token_headers"]:
        raise InvalidTokenError("The header is not one that this service writes.")
    # PyJWT accepts repeated names, of which another parser may take the other (RFC 7519 section 4).
    claims = strict_json.loads(base64url_decode(payload))
    if not isinstance(claims, dict) or not has_valid_claims(claims):
        raise InvalidTokenError("The claims are not those of an access token.")
    decode_token(token)
    return claims


def has_valid_claims(claims: dict[str, Any]) -> bool:
    """Whether all claims of an access token are there, in the JSON types that are issued."""
    # RFC 7519 allows fractions in times and lists of audiences; this service issues neither.
    return (
        all(claims.get(name) is not None for name in REQUIRED_CLAIMS)
        and all(type(claims[name]) is int for name in _TIMES)
        and claims["aud"] == current_app.config["JWT_DECODE_AUDIENCE"]
        and claims["type"] == "access"
    )


def load_caller() -> Caller:
    """The caller that the request's access token or API key names, or `ANONYMOUS` without one.

    Raises:
        Problem: 401 `invalid_token`, the same for every defect of the token; 400, the request
            carries two; 403, it is in a cookie and the CSRF token is missing or wrong.
    """
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    cookie = cookies.access_token_from_cookie()
    if scheme.lower() != "bearer":  # schemes are case-insensitive: RFC 9110 section 11.1
        return ANONYMOUS if cookie is None else _caller_from_cookie(cookie)
    if cookie is not None:  # RFC 6750 section 2
        challenge = f'{CHALLENGE}, error="invalid_request"'
        detail = "A request carries a bearer token or cookies, not both."
        raise Problem("bad-request", detail, headers={"WWW-Authenticate": challenge})
    if bearer.startswith(api_keys.PREFIX):
        return api_keys.load_caller(bearer)
    return _caller_from_token(bearer)


def _caller_from_cookie(token: str) -> Caller:
    caller = _caller_from_token(token)
    cookies.check_csrf(caller.session_id)
    return caller


def _caller_from_token(token: str) -> Caller:
    """The caller that a token names. Verified tokens are cached by all their characters.

    What can change is checked at each request: the time here, the session in the statement that
    reads. The keys do not change while a process runs.
    """
    # Verification costs 30 to 50 % of a request: docs/decisions.md#23-verified-token-cache
    verified: dict[str, tuple[int, Caller]] = current_app.extensions["verified_tokens"]
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
        verified.clear()  # happens rarely, and costs less than to track the least recently used
    verified[token] = claims["exp"], caller
    return caller

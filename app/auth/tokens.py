"""Access tokens: what is in them, and how a request's caller is read from one (RFC 9068, 8725)."""

import re
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from flask import Flask, current_app, request
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from jwt import PyJWT
from jwt.exceptions import InvalidTokenError, PyJWTError
from jwt.utils import base64url_encode
from sqlalchemy import Row

from app.auth import api_keys, cookies
from app.auth.models import Session
from app.auth.signing_keys import Key, load_keys
from app.config import Settings
from app.core.security.authorization import ANONYMOUS, CHALLENGE, Caller, invalid_token_problem
from app.core.web import strict_json
from app.core.web.problems import Problem
from app.users.roles import ROLES

TYPE = "at+jwt"
LEEWAY = 10  # seconds by which the clocks of two machines may differ
TOKEN_CACHE_SIZE = 10_000  # tokens, of half a kilobyte each
REQUIRED_CLAIMS = ("iss", "aud", "sub", "sid", "role", "iat", "nbf", "exp", "jti", "type")
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)  # RFC 7515 section 7.1
_DECODE_ERRORS = (
    PyJWTError,
    AttributeError,  # a claim of another JSON type than ours
    KeyError,  # no header, or no role, of ours
    TypeError,
    ValueError,
)

log = structlog.get_logger()


class Decoder(PyJWT):
    """PyJWT, strict about JSON: no name may occur twice (RFC 7519 section 4)."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        claims = strict_json.loads(decoded["payload"])
        if not isinstance(claims, dict):
            raise InvalidTokenError("The claims are no object.")
        return claims


class TokenManager(JWTManager):
    """flask-jwt-extended, but for its decoding: that parses a token three times, ours once.

    A header is not interpreted. It is, byte for byte, the one that we write for one of our keys, or
    the token is refused: so no `alg`, `kid`, `jku` or `crit` of somebody else's is ever looked at
    (RFC 8725 sections 3.1, 3.10 and 3.11). The key then says which algorithm it is good for.
    """

    decoder = Decoder(
        {"require": list(REQUIRED_CLAIMS), "strict_aud": True, "enforce_minimum_key_length": True}
    )

    def set_keys(self, app: Flask, keys: list[Key]) -> None:
        """Sign with the first of the keys, verify with all."""
        signs = keys[0]
        app.config |= {
            "JWT_ALGORITHM": signs.algorithm,
            "JWT_SECRET_KEY" if signs.is_symmetric else "JWT_PRIVATE_KEY": signs.private,
        }
        app.extensions["token_kid"] = signs.kid
        app.extensions["token_keys"] = {_header(key): key for key in keys}
        app.extensions["verified_tokens"] = {}  # by other keys: nothing of theirs is remembered
        self.init_app(app)

    def _decode_jwt_from_config(
        self, encoded_token: str, csrf_value: Any = None, allow_expired: bool = False
    ) -> dict[str, Any]:
        if not _COMPACT.fullmatch(encoded_token):
            raise InvalidTokenError("This is no JWT.")
        key: Key = current_app.extensions["token_keys"][encoded_token.partition(".")[0]]
        claims: dict[str, Any] = self.decoder.decode(
            encoded_token,
            key.public,
            algorithms=[key.algorithm],
            issuer=current_app.config["JWT_DECODE_ISSUER"],
            audience=current_app.config["JWT_DECODE_AUDIENCE"],
            leeway=LEEWAY,
        )
        # RFC 7519 lets an instant be a fraction, and PyJWT a string; ours are neither.
        if claims["type"] != "access" or any(
            type(claims[name]) is not int for name in ("iat", "nbf", "exp")
        ):
            raise InvalidTokenError("The claims are not those of an access token.")
        return claims


def _header(key: Key) -> str:
    """The first segment of each token that the key signs."""
    header = {"alg": key.algorithm, "kid": key.kid, "typ": TYPE}
    return base64url_encode(strict_json.dumps(header)).decode()


jwt = TokenManager()


def init_app(app: Flask, settings: Settings) -> None:
    """Configure flask-jwt-extended.

    Raises:
        ConfigError: a key is not safe to use.
    """
    app.config |= {
        "JWT_ACCESS_TOKEN_EXPIRES": timedelta(minutes=settings.access_token_minutes),
        "JWT_ENCODE_ISSUER": settings.token_issuer,
        "JWT_DECODE_ISSUER": settings.token_issuer,
        "JWT_ENCODE_AUDIENCE": settings.token_audience,
        "JWT_DECODE_AUDIENCE": settings.token_audience,
    }
    cookies.init_app(app, enabled=settings.auth_cookies)
    jwt.set_keys(app, load_keys(settings))


def issue_access_token(session: Session | Row[Any], role: str) -> str:
    """A signed token for one session; with the role, so that a request knows it at once."""
    token: str = create_access_token(
        identity=str(session.owner_id),
        additional_claims={"sid": str(session.id), "role": role},
        additional_headers={"typ": TYPE, "kid": current_app.extensions["token_kid"]},
    )
    return token


def load_caller() -> Caller:
    """The caller that the request's access token or API key names, or `ANONYMOUS` without one.

    Raises:
        Problem: 401 `invalid_token`, whatever is wrong with the token: one answer for all; 400,
            there are two; 403, it is in a cookie and the CSRF token is missing or wrong.
    """
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    cookie = cookies.access_token_from_cookie()
    if scheme.lower() != "bearer":  # in any case: RFC 9110 section 11.1
        return ANONYMOUS if cookie is None else _load_from_cookie(cookie)
    if cookie is not None:  # RFC 6750 section 2
        challenge = f'{CHALLENGE}, error="invalid_request"'
        detail = "A request carries a bearer token or cookies, not both."
        raise Problem("bad-request", detail, headers={"WWW-Authenticate": challenge})
    return (
        api_keys.load_caller(bearer)
        if bearer.startswith(api_keys.PREFIX)
        else _caller_from_token(bearer)
    )


def _load_from_cookie(token: str) -> Caller:
    found = _caller_from_token(token)
    cookies.check_csrf(found.session_id)
    return found


def _caller_from_token(token: str) -> Caller:
    """The caller that a token names: verified the first time, then known by all its characters.

    What can change about a token is asked each time: the clock here, the session in the statement
    that reads. The keys cannot, while a process lives.
    """
    verified: dict[str, tuple[int, Caller]] = current_app.extensions["verified_tokens"]
    until, found = verified.get(token, (0, ANONYMOUS))
    if time.time() < until:
        return found
    try:
        claims = decode_token(token)
        found = Caller(
            id=UUID(claims["sub"]),
            role=claims["role"],
            permissions=ROLES[claims["role"]],
            session_id=UUID(claims["sid"]),
        )
    except _DECODE_ERRORS as error:
        log.info("access_token_rejected", reason=type(error).__name__)
        raise invalid_token_problem() from error
    if len(verified) >= TOKEN_CACHE_SIZE:
        verified.clear()  # rarely, and cheaper than to find out which was used least
    verified[token] = claims["exp"], found
    return found

"""The format of refresh tokens: the id of a session and a secret, signed."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from app.core.security.authorization import unauthorized_problem
from app.core.security.signing import sign, verify
from app.core.web.problems import Problem

SECRET_BYTES = 32
_PURPOSE = "refresh tokens"
_SIGNATURE_BYTES = 16


def make_refresh_token(session_id: UUID, secret: bytes) -> str:
    """Return a refresh token, in URL-safe base64."""
    # A token that was used before revokes its session, which the id identifies. The signature
    # prevents that with a forged token: docs/decisions.md#21-refresh-token-rotation
    data = session_id.bytes + secret
    return urlsafe_b64encode(data + sign(_PURPOSE, data, size=_SIGNATURE_BYTES)).decode()


def split_refresh_token(token: str) -> tuple[UUID, bytes]:
    """Return the id of the session and the secret.

    Raises:
        Problem: 401, this service did not issue the token.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except ValueError as error:
        raise refresh_token_problem() from error
    data, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    if len(data) <= 16 or not verify(_PURPOSE, data, signature, size=_SIGNATURE_BYTES):
        raise refresh_token_problem()
    return UUID(bytes=data[:16]), data[16:]


def refresh_token_problem() -> Problem:
    """Return the 401 for every kind of invalid refresh token."""
    return unauthorized_problem("The refresh token is not valid.")

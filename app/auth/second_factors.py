"""Second factors: a feature can interrupt a login until the user has proved another factor.

The login, by whichever way, asks `second_factor_due` before it creates a session. The client of an
interrupted login receives a token that proves the first factor, and returns it with a proof of the
second. docs/decisions.md#84-second-factors
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from blinker import Signal
from sqlalchemy import Row, bindparam, select

from app.core.database import execute
from app.core.database.types import now
from app.core.security.authorization import CHALLENGE, unauthorized_problem
from app.core.security.signing import sign, verify
from app.core.web.problems import INSUFFICIENT_AUTHENTICATION, Problem
from app.telemetry.metrics import LOGINS
from app.users.models import User
from app.users.passwords import sha256_digest

TOKEN_SECONDS = 300
_PURPOSE = "mfa tokens"
_SIGNATURE_BYTES = 32

second_factor_due = Signal(
    "A user has proved factors, and gets a session if no receiver objects. The sender is the row of"
    " the user, `methods` are the proofs so far. A receiver returns the methods of which it"
    " demands another one, or nothing."
)

log = structlog.get_logger()

USER_COLUMNS = (User.id, User.email, User.role, User.is_active, User.password_hash)
_SELECT_USER = select(*USER_COLUMNS).where(User.id == bindparam("user_id"))


class InterruptedLogin(NamedTuple):
    """A login of which the first factor has been proved."""

    user: Row[Any]  # `USER_COLUMNS`
    methods: tuple[str, ...]  # proved so far


def due_methods(user: Any, methods: Sequence[str]) -> list[str]:
    """Return the methods of which another proof is needed; none if the user may have a session.

    Args:
        user: a user, or a row with `id` and `role`.
        methods: those proved so far, such as `password`.
    """
    demanded = (due for _, due in second_factor_due.send(user, methods=tuple(methods)))
    return [method for due in demanded for method in due or ()]


def require_second_factor(user: Row[Any], methods: tuple[str, ...]) -> None:
    """Check that no other factor is due; `user` is a row of `USER_COLUMNS`.

    Raises:
        Problem: 401 `second-factor-required`, with a token for `read_mfa_token`.
    """
    if due := due_methods(user, methods):
        LOGINS.labels("interrupted").inc()
        log.info("second_factor_required", user_id=str(user.id), methods=due)
        members = {"mfa_token": _make_token(user, methods), "methods": due}
        challenge = f"{CHALLENGE}, {INSUFFICIENT_AUTHENTICATION}"
        headers = {"WWW-Authenticate": challenge}
        raise Problem("second-factor-required", headers=headers, members=members)


def _make_token(user: Row[Any], methods: tuple[str, ...]) -> str:
    expires_at = int(now().timestamp()) + TOKEN_SECONDS
    data = user.id.bytes + expires_at.to_bytes(8) + " ".join(methods).encode()
    signature = sign(_PURPOSE, data + _state_of(user), size=_SIGNATURE_BYTES)
    return urlsafe_b64encode(signature + data).decode()


def _state_of(user: Row[Any]) -> bytes:
    """What ends a token when it changes: a token that was made before is worthless."""
    return sha256_digest(user.password_hash.encode())


def read_mfa_token(token: str) -> InterruptedLogin:
    """Return the login that a token of `second-factor-required` continues.

    Raises:
        Problem: 401, the token is invalid or has expired, or the user was disabled or has another
            password now.
    """
    try:
        raw = urlsafe_b64decode(token.encode("ascii"))
    except ValueError as error:
        raise mfa_token_problem() from error
    signature, data = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if len(data) < 24 or int.from_bytes(data[16:24]) <= now().timestamp():
        raise mfa_token_problem()
    rows = execute.fetch_autocommit(_SELECT_USER, {"user_id": UUID(bytes=data[:16])})
    if not rows or not rows[0].is_active:
        raise mfa_token_problem()
    if not verify(_PURPOSE, data + _state_of(rows[0]), signature, size=_SIGNATURE_BYTES):
        raise mfa_token_problem()
    return InterruptedLogin(rows[0], tuple(data[24:].decode().split()))


def mfa_token_problem() -> Problem:
    """Return the 401 for every kind of invalid token."""
    return unauthorized_problem("The MFA token is not valid.")

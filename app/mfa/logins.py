"""Logins that a second factor completes, and enrolment where the role of a user needs a factor."""

from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Row, select

from app.auth import login_throttle
from app.auth.login import open_session
from app.auth.notices import notify
from app.auth.second_factors import due_methods, mfa_token_problem, read_mfa_token
from app.core.resources import repository
from app.core.security.authorization import unauthorized_problem
from app.core.web.problems import Problem
from app.extensions import db
from app.mfa import factors, totp
from app.mfa.models import TOTP, Factor
from app.mfa.policy import ENROLMENT, RECOVERY_CODE
from app.mfa.recovery_codes import use_recovery_code
from app.mfa.schemas import FactorSchema
from app.telemetry.metrics import LOGINS
from app.users.service import lock_user, set_caller

log = structlog.get_logger()

_WRONG = "The code is wrong, has expired, or was used before."


def enrol(mfa_token: str) -> Factor:
    """Return a new TOTP factor for a user whose role needs one and who has none.

    Raises:
        Problem: 401, the token is not valid, or the user has a factor.
    """
    user, methods = read_mfa_token(mfa_token)
    if ENROLMENT not in due_methods(user, methods):
        raise mfa_token_problem()
    set_caller(user)
    factor = totp.new_factor(user.id, user.email, "Authenticator app")
    repository.create_many([factor], FactorSchema())
    return factor


def log_in_with_code(mfa_token: str, code: str) -> dict[str, Any]:
    """Complete a login with a code of an app or a recovery code; return the tokens.

    Wrong codes count for the account like wrong passwords.

    Raises:
        Problem: 401, the token or the code is not valid; 429, too many attempts failed.
    """
    user, methods = read_mfa_token(mfa_token)
    failures = login_throttle.register_attempt(user.email)

    def prove() -> str | None:
        lock_user(user.id)
        return _use_code(user, due_methods(user, methods), code)

    return complete(user, methods, prove, failures)


def complete(
    user: Row[Any], methods: tuple[str, ...], prove: Callable[[], str | None], failures: int
) -> dict[str, Any]:
    """Prove a second factor and create the session, in one transaction; return the tokens.

    Args:
        user: a row of `second_factors.USER_COLUMNS`, whose attempt is registered.
        methods: those of the first factor.
        prove: returns the method that was proved, or None.

    Raises:
        Problem: 401, it was not proved.
    """
    method = prove()
    tokens = open_session(user, (*methods, method), failures) if method else None
    if tokens is None:
        db.session.rollback()
        login_throttle.fail_attempt(user.email)
        LOGINS.labels("failed").inc()
        log.warning("second_factor_failed", user_id=str(user.id))
        raise unauthorized_problem(_WRONG)
    return tokens


def _use_code(user: Row[Any], due: list[str], code: str) -> str | None:
    if ENROLMENT in due:
        return TOTP if _confirm_enrolment(user, code) else None
    if RECOVERY_CODE in due and use_recovery_code(user.id, code):
        notify(factors.CODE_USED, user.id)
        return RECOVERY_CODE
    apps = [factor for factor in factors.confirmed_factors(user.id) if factor.kind == TOTP]
    return TOTP if any(totp.use_code(factor, code) for factor in apps) else None


def _confirm_enrolment(user: Row[Any], code: str) -> bool:
    latest = select(Factor).where(Factor.owner_id == user.id, Factor.kind == TOTP)
    factor = db.session.scalar(latest.order_by(Factor.id.desc()).limit(1))
    if factor is None or not totp.use_code(factor, code):
        return False
    set_caller(user)
    try:
        factors.activate(factor)
    except Problem:
        return False
    return True

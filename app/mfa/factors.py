"""Changes of factors: confirmation, removal, and the reset by an admin.

Each locks the user first, so that parallel changes cannot leave an account without the factor that
its role needs. The owner is mailed, and the other sessions are revoked.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select

from app.auth.accounts import (
    address_verified,
    login_without_password,
    require_another_login,
)
from app.auth.models import Session
from app.auth.notices import Notice, declare, notify
from app.auth.sessions import revoke_sessions
from app.core.database.types import now
from app.core.resources import repository, unaudited
from app.core.resources.audit_log import Change, log_change
from app.core.security.authorization import current_caller
from app.core.web.problems import Problem, log_denial
from app.extensions import db
from app.mfa import recovery_codes, totp
from app.mfa.models import Factor
from app.mfa.schemas import FactorSchema
from app.mfa.settings import mfa_settings
from app.users.models import User
from app.users.service import lock_user

MAX_FACTORS = 10  # confirmed ones of a user

FACTOR_ADDED = declare(
    "factor-added", "A new second factor", "A second factor was added to your account."
)
FACTOR_REMOVED = declare(
    "factor-removed",
    "A second factor was removed",
    "A second factor of your account was removed.",
)
CODES_REPLACED = declare(
    "recovery-codes-replaced",
    "New recovery codes",
    "Your account has new recovery codes. Those from before are not valid any more.",
)
CODE_USED = declare(
    "recovery-code-used",
    "A recovery code was used",
    "Your account was logged in to with a recovery code, which is not valid any more.",
)
FACTORS_RESET = declare(
    "factors-reset",
    "Your second factors were reset",
    "An administrator has removed all second factors and recovery codes of your account.",
)

_SCHEMA = FactorSchema()


def read_caller() -> Any:
    """Return id and e-mail address of the caller."""
    account = select(User.id, User.email).where(User.id == current_caller.id)
    return db.session.execute(account).one()


def confirmed_factors(owner_id: UUID) -> list[Factor]:
    """Return the factors of a user that have been proved once."""
    is_confirmed = and_(Factor.owner_id == owner_id, Factor.confirmed_at.is_not(None))
    return list(db.session.scalars(select(Factor).where(is_confirmed).order_by(Factor.id)))


def confirm_factor(factor_id: UUID, code: str) -> None:
    """Activate a new TOTP factor of the caller with a code from it.

    Raises:
        Problem: 404, the caller has no such factor; 409, it is active already, or there are too
            many; 422, the code is wrong.
    """
    user = lock_user(current_caller.id)
    factor = db.session.get(Factor, factor_id)
    if factor is None or factor.owner_id != user.id:
        raise Problem("not-found")
    if factor.confirmed_at is not None:
        raise Problem("conflict", "The factor is active already.")
    if not totp.use_code(factor, code):
        error = {"detail": "The code is wrong or has expired.", "pointer": "#/code"}
        log_denial("authentication_failed", error["detail"])  # which is no 401 here
        raise Problem("validation-error", errors=[error])
    activate(factor)


def activate(factor: Factor) -> Any:
    """Make a proved factor of a locked user count, from now on; return its row.

    Raises:
        Problem: 409, the user has too many.
    """
    if len(confirmed_factors(factor.owner_id)) >= MAX_FACTORS:
        raise Problem("conflict", f"An account has at most {MAX_FACTORS} factors.")
    db.session.refresh(factor)
    verified_at = select(User.email_verified_at).where(User.id == factor.owner_id)
    is_provisional = db.session.scalar(verified_at) is None
    values = {"confirmed_at": now(), "is_provisional": is_provisional}
    row = repository.update_locked(Factor, factor, values, _SCHEMA, "confirm")
    _after_change(factor.owner_id, FACTOR_ADDED)
    _add_method_to_session(factor.kind)
    return row


def _add_method_to_session(kind: str) -> None:
    """Record that the user of this session has just proved a factor."""
    session = db.session.get(Session, current_caller.session_id or UUID(int=0))
    if session is not None:
        methods = [*session.methods, kind]
        unaudited.update_where(Session, Session.id == session.id, {"methods": methods})


def check_removal(factor_id: UUID) -> None:
    """Prepare the removal of a factor of the caller, in the transaction that deletes it.

    Raises:
        Problem: 409, it is the last one, and the role needs one; or the only way to log in.
    """
    user = lock_user(current_caller.id)
    confirmed = confirmed_factors(user.id)
    remaining = [factor for factor in confirmed if factor.id != factor_id]
    if len(remaining) == len(confirmed):
        return  # not active yet, or none of the caller
    if not remaining and user.role in mfa_settings().required_roles:
        raise Problem("conflict", "Your role needs a second factor; add another one before.")
    require_another_login(user, factor_id)
    if not remaining:
        recovery_codes.delete_codes(user.id)
    _after_change(user.id, FACTOR_REMOVED)


@login_without_password.connect
def has_passkey(user_id: UUID, except_id: UUID) -> bool:
    """Whether a user has another passkey that can log in alone."""
    factors = (factor for factor in confirmed_factors(user_id) if factor.id != except_id)
    return any(factor.logs_in_alone for factor in factors)


@address_verified.connect
def remove_provisional_factors(user_id: UUID) -> None:
    """Remove the factors that a user had before, which another person may have enrolled."""
    # Not those of an account whose address was verified, and then replaced by an operator:
    # docs/decisions.md#78-credentials-from-before-the-verification
    is_provisional = or_(Factor.is_provisional, Factor.confirmed_at.is_(None))
    condition = and_(Factor.owner_id == user_id, is_provisional)
    removed = db.session.scalars(select(Factor.confirmed_at).where(condition)).all()
    if not removed:
        return
    repository.delete_where(Factor, condition, _SCHEMA)
    if not confirmed_factors(user_id):
        recovery_codes.delete_codes(user_id)
    if any(removed):
        notify(FACTOR_REMOVED, user_id)


def new_recovery_codes() -> dict[str, Any]:
    """Return new recovery codes of the caller.

    Raises:
        Problem: 409, the caller has no factor.
    """
    user = lock_user(current_caller.id)
    if not confirmed_factors(user.id):
        raise Problem("conflict", "Recovery codes need a second factor; add one before.")
    codes = recovery_codes.replace_codes(user.id)
    notify(CODES_REPLACED, user.id)
    return {"recovery_codes": codes}


def reset_factors(user_id: UUID) -> None:
    """Remove all factors, recovery codes and sessions of a user who has lost them.

    Raises:
        Problem: 404, there is no such user.
    """
    user = lock_user(user_id)
    repository.delete_where(Factor, Factor.owner_id == user.id, _SCHEMA)
    recovery_codes.delete_codes(user.id)
    log_change(Change("reset_factors", "users", user.id))
    _after_change(user.id, FACTORS_RESET)


def _after_change(owner_id: UUID, notice: Notice) -> None:
    own = current_caller.session_id if current_caller.id == owner_id else None
    revoke_sessions(owner_id, except_id=own)
    notify(notice, owner_id)

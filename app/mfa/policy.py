"""Whether a login needs a second factor: it does where the user has one, or the role needs one."""

from typing import Any

from sqlalchemy import bindparam, exists, select

from app.auth.second_factors import second_factor_due
from app.core.database import execute
from app.mfa.models import PASSKEY, TOTP, Factor, RecoveryCode
from app.mfa.settings import mfa_settings

RECOVERY_CODE = "recovery_code"
ENROLMENT = "totp_enrolment"  # the role needs a factor, and the user has none
SECOND_FACTORS = frozenset({TOTP, PASSKEY, RECOVERY_CODE})

_OWNER = bindparam("owner_id", type_=Factor.owner_id.type)
_SELECT_KINDS = select(
    Factor.kind, exists().where(RecoveryCode.owner_id == _OWNER).label("has_codes")
).where(Factor.owner_id == _OWNER, Factor.confirmed_at.is_not(None))


@second_factor_due.connect
def demand_factor(user: Any, methods: tuple[str, ...]) -> list[str]:
    """Return the ways to prove a second factor; none if there is no need for one."""
    if SECOND_FACTORS.intersection(methods):
        return []
    rows = execute.fetch(_SELECT_KINDS, {"owner_id": user.id})
    if not rows:
        return [ENROLMENT] if user.role in mfa_settings().required_roles else []
    return [*sorted({row.kind for row in rows}), *([RECOVERY_CODE] if rows[0].has_codes else [])]

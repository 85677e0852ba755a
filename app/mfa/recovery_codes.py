"""Recovery codes: ten for each user, each works once in place of a factor."""

import secrets
from base64 import b32encode
from uuid import UUID

from sqlalchemy import delete

from app.core.resources.audit_log import Change, log_change
from app.extensions import db
from app.mfa.models import RecoveryCode
from app.users.passwords import sha256_digest

NUMBER = 10
_BYTES = 15  # 120 bits, so an unsalted hash suffices (OWASP ASVS 6.5.2); 24 characters of base32


def replace_codes(owner_id: UUID) -> list[str]:
    """Return new codes, such as `ABCDEF-GHIJKL-MNOPQR-STUVWX`; those from before are deleted."""
    codes = [b32encode(secrets.token_bytes(_BYTES)).decode() for _ in range(NUMBER)]
    delete_codes(owner_id)
    db.session.add_all(
        RecoveryCode(hash=sha256_digest(code.encode()), owner_id=owner_id) for code in codes
    )
    log_change(Change("replace_recovery_codes", "users", owner_id))
    return ["-".join(code[n : n + 6] for n in range(0, 24, 6)) for code in codes]


def delete_codes(owner_id: UUID) -> None:
    """Delete the codes of a user."""
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.owner_id == owner_id))


def use_recovery_code(owner_id: UUID, code: str) -> bool:
    """Whether it is a code of the user; it is deleted."""
    digest = sha256_digest(code.replace("-", "").replace(" ", "").upper().encode())
    used = delete(RecoveryCode).where(
        RecoveryCode.hash == digest, RecoveryCode.owner_id == owner_id
    )
    return db.session.scalar(used.returning(RecoveryCode.owner_id)) is not None

"""TOTP: secrets, which are stored encrypted, and the verification of codes (RFC 6238)."""

import secrets
from uuid import UUID

import pyotp
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import current_app
from pyotp.exceptions import OTPVerificationError
from sqlalchemy import update

from app.core.database.ids import uuid7
from app.core.database.mixins import same_version
from app.core.database.types import now
from app.core.security.keys import derive_key
from app.extensions import db
from app.mfa.models import Factor

_NONCE_BYTES = 12

log = structlog.get_logger()


def new_factor(owner_id: UUID, email: str, name: str) -> Factor:
    """Return a factor that is not stored yet; its attributes have the secret and the URI."""
    secret = pyotp.random_base32()  # 160 bits (RFC 4226 section 4)
    issuer = current_app.config["TOKEN_ISSUER"]
    factor = Factor(id=uuid7(), owner_id=owner_id, name=name)
    factor.credential = _encrypt(factor.id, secret)
    factor.secret = secret
    factor.otpauth_uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=issuer)
    return factor


def use_code(factor: Factor, code: str) -> bool:
    """Whether it is the code of this step and was not used before; it cannot be used again.

    A code is valid in its own step of 30 seconds only: docs/decisions.md#90-factors
    """
    try:
        secret = _decrypt(factor.id, factor.credential)
        step = pyotp.TOTP(secret).verify_and_get_timecode(code, for_time=now())
    except InvalidTag:  # another SECRET_KEY has encrypted it
        log.error("totp_secret_unreadable", factor_id=str(factor.id))
        return False
    except OTPVerificationError:
        return False
    # One statement compares and stores the step: of parallel requests only one succeeds.
    unused = update(Factor.__table__).where(Factor.id == factor.id, Factor.counter < step)  # type: ignore[arg-type]
    values = {"counter": step, "last_used_at": now(), **same_version(Factor)}
    used = db.session.execute(unused.values(values).returning(Factor.id))
    return used.first() is not None


def _encrypt(factor_id: UUID, secret: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    # Bound to the row: a secret that is copied to another one is not valid there.
    return nonce + _cipher().encrypt(nonce, secret.encode(), factor_id.bytes)


def _decrypt(factor_id: UUID, stored: bytes) -> str:
    nonce, encrypted = stored[:_NONCE_BYTES], stored[_NONCE_BYTES:]
    return _cipher().decrypt(nonce, encrypted, factor_id.bytes).decode()


def _cipher() -> AESGCM:
    return AESGCM(derive_key("totp secrets"))

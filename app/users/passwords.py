"""Password hashes: argon2id with the minimum parameters of OWASP (19 MiB, 2 passes, 1 lane)."""

import hashlib
import os
import unicodedata
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
NO_PASSWORD = ""  # in place of the hash, of an account without a password
_hash_slots = BoundedSemaphore(os.cpu_count() or 1)  # more threads need memory and save no time


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password in the PHC string format, with a new salt."""
    with _hash_slots:
        return _hasher.hash(_normalised(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password matches the stored hash.

    Without a hash (no such user, or `NO_PASSWORD`) a dummy hash is verified, so that the time does
    not reveal whether the account exists.
    """
    try:
        with _hash_slots:
            matches = _hasher.verify(stored or _dummy_hash(), _normalised(password))
        return matches and bool(stored)
    except (VerifyMismatchError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the hash has other parameters than the current ones."""
    return _hasher.check_needs_rehash(stored)


def sha256_digest(secret: bytes) -> bytes:
    """Return the hash of a random secret of 256 bits, for which SHA-256 suffices."""
    return hashlib.sha256(secret).digest()


def _normalised(password: str) -> str:
    """Normalise to NFKC, so that all keyboards produce the same password (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


@cache
def _dummy_hash() -> str:
    return _hasher.hash("dummy password")

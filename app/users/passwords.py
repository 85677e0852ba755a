"""Passwords, hashed with argon2id at OWASP's minimum: 19 MiB, two passes, one lane."""

import hashlib
import os
import unicodedata
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_hash_slots = BoundedSemaphore(os.cpu_count() or 1)  # more would need memory and save no time


def hash_password(password: str) -> str:
    """The argon2id hash of a password in the PHC string format, with a new salt."""
    with _hash_slots:
        return _hasher.hash(_normalised(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password matches the stored hash.

    Without a hash (no such user) it takes as long, so that timing does not reveal accounts.
    """
    try:
        with _hash_slots:
            is_right = _hasher.verify(stored or _dummy_hash(), _normalised(password))
        return is_right and stored is not None
    except (VerifyMismatchError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with other parameters than the current ones."""
    return _hasher.check_needs_rehash(stored)


def sha256_digest(secret: bytes) -> bytes:
    """The hash to store of a random secret: nobody can guess 256 bits, so SHA-256 suffices."""
    return hashlib.sha256(secret).digest()


def _normalised(password: str) -> str:
    """NFKC, so that all keyboards produce the same password (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


@cache
def _dummy_hash() -> str:
    return _hasher.hash("nobody's password")

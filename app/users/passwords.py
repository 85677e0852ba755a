"""Passwords, hashed with argon2id at OWASP's minimum: 19 MiB, two passes, one lane."""

import hashlib
import os
import unicodedata
from functools import cache
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_hash_slots = BoundedSemaphore(
    os.cpu_count() or 1
)  # more at a time would cost memory and save no time


def hash_password(password: str) -> str:
    """The password's argon2id hash in the PHC string format, with a salt of its own."""
    with _hash_slots:
        return _hasher.hash(_normalised(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password is the one of the stored hash.

    Without one (no such user) the same work is done, so that time tells nothing.
    """
    try:
        with _hash_slots:
            right = _hasher.verify(stored or _dummy_hash(), _normalised(password))
        return right and stored is not None
    except (VerifyMismatchError, InvalidHashError):
        return False


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def sha256_digest(secret: bytes) -> bytes:
    """What is kept of a random secret. It has too many bits to be guessed, so SHA-256 is enough."""
    return hashlib.sha256(secret).digest()


def _normalised(password: str) -> str:
    """The same for the same keys, whatever the keyboard makes of them (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


@cache
def _dummy_hash() -> str:
    return _hasher.hash("nobody's password")

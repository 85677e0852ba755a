"""Signatures (HMAC-SHA256) of data that leaves the service and comes back."""

import hmac

from app.core.security.keys import derive_key


def sign(purpose: str, data: bytes, *, size: int = 32) -> bytes:
    """The signature of the data.

    Args:
        purpose: names the key; a signature for one purpose is not valid for another.
        size: length in bytes, 16 to 32; a shorter one is truncated (RFC 2104 section 5).
    """
    return hmac.digest(derive_key(purpose), data, "sha256")[:size]


def verify(purpose: str, data: bytes, signature: bytes, *, size: int = 32) -> bool:
    """Whether the signature, of exactly `size` bytes, is the one of the data."""
    return hmac.compare_digest(signature, sign(purpose, data, size=size))

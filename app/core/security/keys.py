"""Keys derived from SECRET_KEY, one for each purpose."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

from app.core.web.app_state import app_state

KEY_BYTES = 32


def derive_key(purpose: str) -> bytes:
    """The key of the current application for one purpose, 32 bytes.

    Args:
        purpose: what the key is used for; the same text gives the same key in every process.
    """
    # One key must not serve two purposes: docs/decisions.md#26-derived-keys
    keys = app_state().derived_keys
    if purpose not in keys:
        keys[purpose] = hkdf_sha256(current_app.config["SECRET_KEY"], purpose)
    return keys[purpose]


def hkdf_sha256(secret: str, purpose: str) -> bytes:
    """32 bytes derived from a secret with HKDF-SHA256 (RFC 5869); `purpose` is its `info`."""
    # No salt: section 3.1 makes it optional, and the secret is long and random already.
    kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode())
    return kdf.derive(secret.encode())

"""The password policy of registration, change, reset and commands.

It follows NIST SP 800-63B: a minimum length, no common passwords, all characters allowed. The
length is counted in code points as sent; `app.users.passwords` normalises with NFKC before it
hashes.
docs/decisions.md#31-password-policy
"""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from flask import current_app
from marshmallow import ValidationError

from app.core.schemas.fields import String

MAX_LENGTH = 1024  # characters; bounds the time to hash
MIN_REMAINING_CHARS = 8  # after the removal of the words of the account

COMMON_PASSWORDS_FILE = Path(__file__).parent / "common_passwords.txt"  # see its LICENSE


def password_error(password: str, *known: str) -> str | None:
    """Return why the password is not allowed, as a sentence; None if it is allowed.

    Args:
        known: data of the account that others may know: the e-mail address, the name.
    """
    min_length = current_app.config["PASSWORD_MIN_LENGTH"]
    if len(password) < min_length:
        return f"Must have at least {min_length} characters."
    folded = unicodedata.normalize("NFKC", password).casefold()
    if folded in _common_passwords():
        return "This password is too common."
    words = _words(current_app.config["TOKEN_ISSUER"], *known)
    remaining = re.sub("|".join(map(re.escape, words)), "", folded)
    if remaining != folded and len(remaining) < MIN_REMAINING_CHARS:
        return "Too similar to your e-mail address, name or the service name."
    return None


def _words(*texts: str) -> list[str]:
    """Return the texts and their parts of three characters or more, the longest first."""
    folded = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    parts = {part for text in folded for part in (text, *re.split(r"[\W_]+", text))}
    return sorted((part for part in parts if len(part) > 2), key=len, reverse=True)


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(COMMON_PASSWORDS_FILE.read_text("utf-8").splitlines())


def _reject_weak(password: str) -> None:
    if error := password_error(password):
        raise ValidationError(error)


class Password(String):
    """A new password. The caller also checks `password_error` with the data of the account."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": "correct horse battery staple", "format": "password"}
        super().__init__(
            max_length=MAX_LENGTH,
            validate=[_reject_weak],
            load_only=True,
            metadata=metadata,
            **kwargs,
        )

    def openapi_properties(self) -> dict[str, Any]:
        """Return the JSON Schema keywords; the minimum length is a setting."""
        return super().openapi_properties() | {
            "minLength": current_app.config["PASSWORD_MIN_LENGTH"]
        }

"""What a password must be to be set: the one policy of registration, change, reset and commands.

It follows NIST SP 800-63B: long, not among those that are tried first, and any characters at all.
Length is counted in code points as they were sent. `app.users.passwords` hashes what NFKC makes of
them, so the same keys give the same password on every keyboard; nothing is cut off or folded.
"""

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from flask import current_app
from marshmallow import ValidationError

from app.core.schemas.fields import String

MAX_LENGTH = 1024  # characters, so that nobody has a megabyte hashed
MIN_REMAINING_CHARS = 8  # characters that must remain without all that is known of the account

_LIST = Path(__file__).parent / "common_passwords.txt"  # its source: common_passwords.LICENSE


def password_error(password: str, *known: str) -> str | None:
    """Why the password may not be set, in a sentence; None when it may.

    Args:
        known: what anybody may know of the account: the e-mail address, the name.
    """
    least = current_app.config["PASSWORD_MIN_LENGTH"]
    if len(password) < least:
        return f"Must have at least {least} characters."
    folded = unicodedata.normalize("NFKC", password).casefold()
    if folded in _common():
        return "Is one of the passwords that are tried first."
    words = _words(current_app.config["TOKEN_ISSUER"], *known)
    rest = re.sub("|".join(map(re.escape, words)), "", folded)
    if rest != folded and len(rest) < MIN_REMAINING_CHARS:
        return "Is little more than the e-mail address, the name or the name of the service."
    return None


def _words(*texts: str) -> list[str]:
    """The texts and their parts of three letters or more, the longest first."""
    folded = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    parts = {part for text in folded for part in (text, *re.split(r"[\W_]+", text))}
    return sorted((part for part in parts if len(part) > 2), key=len, reverse=True)


@cache
def _common() -> frozenset[str]:
    return frozenset(_LIST.read_text("utf-8").splitlines())


def _reject_weak(password: str) -> None:
    if found := password_error(password):
        raise ValidationError(found)


class Password(String):
    """A password to be set. What depends on whose it is, is asked of `flaw` where that is known."""

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
        """JSON Schema keywords for the document; the least length is a setting."""
        return super().openapi_properties() | {
            "minLength": current_app.config["PASSWORD_MIN_LENGTH"]
        }

"""The state of authentication for one application, in `app.extensions["auth"]`."""

from dataclasses import dataclass, field

from flask import current_app

from app.auth.signing_keys import Key
from app.core.security.authorization import Caller


@dataclass(frozen=True, slots=True)
class AuthState:
    """The keys of access tokens, and the tokens that were verified with them."""

    keys: dict[str, Key]  # by kid; the first one signs
    headers: frozenset[str]  # of tokens that these keys sign, in base64url
    known_keys: set[bytes] = field(default_factory=set)  # digests of API keys that were valid
    verified_tokens: dict[str, tuple[int, Caller]] = field(default_factory=dict)  # with expiry


def auth_state() -> AuthState:
    """Return the state of the current application."""
    state: AuthState = current_app.extensions["auth"]
    return state

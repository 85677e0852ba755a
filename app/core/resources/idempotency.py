"""Idempotency-Key: a retried POST has one effect (draft-ietf-httpapi-idempotency-key-header).

While a request with a key runs, an advisory lock of PostgreSQL refuses others with the same key; on
SQLite they wait for the write lock and then get the stored response.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
from cryptography.fernet import Fernet
from flask import request
from sqlalchemy import JSON, LargeBinary, Text, bindparam, func, literal, select
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import execute
from app.core.database.types import Timestamp, now
from app.core.security.authorization import caller_key
from app.core.security.keys import derive_key
from app.core.security.signing import sign
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.extensions import Base, db

LIFETIME = timedelta(hours=24)
STORED_HEADERS = ("Content-Type", "Cache-Control", "Location", "ETag")
_BARE = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')


class IdempotencyKey(Base):
    """A request that had its effect, and the response for its repetitions."""

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(Text, primary_key=True)  # the owner of the key
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    headers: Mapped[dict[str, str]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request with a key, and the stored response if it is a repetition."""

    key: IdempotencyKey
    stored_response: Response | None

    def store_response(self, response: Response) -> None:
        """Store the response, in the transaction of the effect."""
        # So neither exists without the other, even if the process is killed:
        # docs/decisions.md#34-idempotency-keys
        self.key.status = response.status_code
        self.key.headers = {k: v for k, v in response.headers if k in STORED_HEADERS}
        self.key.body = _cipher().encrypt(response.get_data())
        self.key.expires_at = now() + LIFETIME
        db.session.add(self.key)
        db.session.flush()


def requested_key(data: Any) -> IdempotencyKey | None:
    """The request's key, which is not looked up yet; None where the request has none.

    Args:
        data: the validated body, or an object with equal `str` for equal bodies.

    Raises:
        Problem: 400 for a malformed key.
    """
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return None
    return IdempotencyKey(scope=caller_key(), key=_parse(text), fingerprint=_fingerprint(data))


def lookup(requested: IdempotencyKey) -> Attempt:
    """Look up a key, in the transaction of the request, which begins here.

    Raises:
        Problem: 409 while the first request with it still runs, 422 where it was used for another
            request.
    """
    if not _lock(requested):
        raise Problem("request-in-progress", headers={"Retry-After": "1"})
    stored = db.session.get(IdempotencyKey, (requested.scope, requested.key))
    if stored is not None and stored.expires_at <= now():
        db.session.delete(stored)
        db.session.flush()
        stored = None
    if stored is None:
        return Attempt(requested, None)
    if not hmac.compare_digest(stored.fingerprint, requested.fingerprint):
        raise Problem("idempotency-key-reused")
    replay = Response(_cipher().decrypt(stored.body), stored.status, headers=stored.headers)
    if "Content-Type" not in stored.headers:  # there was no body; Werkzeug sets a default
        del replay.headers["Content-Type"]
    replay.headers["Idempotent-Replayed"] = "true"
    return Attempt(stored, replay)


_SELECT_STORED = select(literal(1)).where(
    IdempotencyKey.scope == bindparam("scope"),
    IdempotencyKey.key == bindparam("key"),
    IdempotencyKey.expires_at > bindparam("moment", type_=Timestamp),
)


def has_stored_response() -> bool:
    """Return whether the request repeats one that had its effect, read outside of a transaction.

    `lookup` decides; this spares a repeated file from being stored.

    Raises:
        Problem: 400 for a malformed key.
    """
    text = request.headers.get("Idempotency-Key")
    if text is None:
        return False
    params = {"scope": caller_key(), "key": _parse(text), "moment": now()}
    return bool(execute.fetch_autocommit(_SELECT_STORED, params))


def _cipher() -> Fernet:
    # Responses are encrypted, because some contain a secret that is shown only once.
    return Fernet(urlsafe_b64encode(derive_key("idempotency responses")))


def _parse(text: str) -> str:
    """The key: a string of a structured field (RFC 9651 section 3.3.3), or unquoted."""
    if quoted := _QUOTED.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    if text.startswith('"') or not _BARE.fullmatch(text):
        raise Problem("bad-request", "Idempotency-Key takes 1 to 255 visible ASCII characters.")
    return text


def _fingerprint(data: Any) -> bytes:
    """A digest of the request."""
    # With a key, because a body may contain a password.
    body = orjson.dumps(data, default=str, option=orjson.OPT_SORT_KEYS)
    query = request.query_string
    target = request.path.encode() + (b"?" + query if query else b"")
    return sign("idempotency fingerprints", b" ".join((request.method.encode(), target, body)))


def _lock(key: IdempotencyKey) -> bool:
    """Lock the key until the transaction ends; False where another transaction has it."""
    connection = db.session.connection()
    if connection.dialect.name != "postgresql":
        return True  # BEGIN IMMEDIATE excludes others
    digest = sha256(f"{key.scope} {key.key}".encode()).digest()
    number = int.from_bytes(digest[:8], signed=True)
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(number))))

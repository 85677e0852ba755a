"""API keys: their creation, and the authentication of requests with one."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import bindparam, select, update

from app.auth.models import ApiKey, Session
from app.auth.notices import API_KEY_CREATED, notify
from app.auth.state import auth_state
from app.core.database import execute
from app.core.database.ids import uuid7
from app.core.database.mixins import same_version
from app.core.database.types import Timestamp, now
from app.core.security.authorization import (
    Caller,
    current_caller,
    invalid_token_problem,
    network_key,
)
from app.core.web.problems import Problem
from app.core.web.rate_limit import is_exhausted
from app.extensions import db
from app.users.models import User
from app.users.passwords import sha256_digest
from app.users.roles import ROLES

PREFIX = "key_"  # with it, secret scanners find keys in repositories
# A write for each request would double its cost: docs/decisions.md#28-api-keys
KNOWN_KEYS_SIZE = 10_000  # digests of 32 bytes
LAST_USED_PRECISION = timedelta(minutes=1)

log = structlog.get_logger()

_SELECT_KEY = (
    select(ApiKey.id, ApiKey.secret_hash, ApiKey.scopes, ApiKey.expires_at, ApiKey.last_used_at)
    .add_columns(User.id.label("user_id"), User.role)
    .join(User, User.id == ApiKey.owner_id)
    .where(ApiKey.id == bindparam("key_id"), User.is_active)
)
# Owners could not change a key under load, if each use raised its version.
_SET_LAST_USED = (
    update(ApiKey)
    .where(ApiKey.id == bindparam("key_id"))
    .values(last_used_at=bindparam("moment", type_=Timestamp), **same_version(ApiKey))
)


def create_api_key(data: dict[str, Any]) -> ApiKey:
    """Return a new key of the caller, not yet stored; its attribute `secret` has the secret.

    Raises:
        Problem: 422, a scope that the caller does not have; 401, the session was revoked.
    """
    _lock_session()
    missing = [scope for scope in data["scopes"] if not current_caller.can(scope)]
    if missing:
        detail = f"The caller's role does not hold: {', '.join(missing)}."
        raise Problem("validation-error", errors=[{"detail": detail, "pointer": "#/scopes"}])
    key_id, random = uuid7(), secrets.token_bytes(32)
    secret = PREFIX + urlsafe_b64encode(key_id.bytes + random).decode()
    key = ApiKey(id=key_id, owner_id=current_caller.id, prefix=secret[:12], **data)
    key.secret_hash, key.secret = sha256_digest(random), secret
    notify(API_KEY_CREATED, current_caller.id)
    return key


def _lock_session() -> None:
    """Lock the caller's session until the commit, so that no key outlives its revocation."""
    # The user first, as those do who revoke sessions; the new key's foreign key would lock it last.
    user = select(User.id).where(User.id == current_caller.id)
    session = select(Session.id).where(Session.id == current_caller.session_id)
    for locked in (user, session):
        if db.session.scalar(locked.with_for_update(read=True, key_share=True)) is None:
            raise invalid_token_problem()


def load_caller(secret: str) -> Caller:
    """Return the caller that an API key authenticates.

    Raises:
        Problem: 401, the key does not exist or has expired, or its owner is disabled; 429, the
            client's network has used up its quota, and the key has not been used here.
    """
    # Before the query: random keys must not cost one each. Keys that are known stay usable.
    digest, known = sha256_digest(secret.encode()), auth_state().known_keys
    if digest not in known and is_exhausted(network_key()):
        raise Problem("too-many-requests")
    try:
        raw = urlsafe_b64decode(secret.removeprefix(PREFIX).encode("ascii"))
        key_id = UUID(bytes=raw[:16])
    except ValueError as error:
        raise invalid_token_problem() from error
    key = next(iter(execute.fetch_autocommit(_SELECT_KEY, {"key_id": key_id})), None)
    if key is None or not secrets.compare_digest(key.secret_hash, sha256_digest(raw[16:])):
        raise invalid_token_problem()
    if key.expires_at is not None and key.expires_at <= now():
        raise invalid_token_problem()
    if key.last_used_at is None or key.last_used_at < now() - LAST_USED_PRECISION:
        execute.execute_autocommit(_SET_LAST_USED, {"key_id": key_id, "moment": now()})
    if len(known) >= KNOWN_KEYS_SIZE:
        known.clear()
    if digest not in known:
        log.info("api_key_accepted", user_id=str(key.user_id), api_key_id=str(key_id))
        known.add(digest)
    permissions = ROLES[key.role] & frozenset(key.scopes)
    return Caller(id=key.user_id, role=key.role, permissions=permissions, api_key_id=key_id)

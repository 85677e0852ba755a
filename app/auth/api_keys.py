"""API keys: how one is made, and how a request's caller is read from one."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update

from app.auth.models import ApiKey
from app.core.database import execute
from app.core.database.ids import uuid7
from app.core.database.types import now
from app.core.security.authorization import Caller, current_caller, invalid_token_problem
from app.core.web.problems import Problem
from app.users.models import User
from app.users.passwords import sha256_digest
from app.users.roles import ROLES

PREFIX = "key_"  # so that a scanner finds one that was committed by mistake
USE_IS_NOTED_AFTER = timedelta(minutes=1)  # a write for each request would cost more than it tells

_FIND = (
    select(ApiKey.id, ApiKey.secret_hash, ApiKey.scopes, ApiKey.expires_at, ApiKey.last_used_at)
    .add_columns(User.id.label("user_id"), User.role)
    .join(User, User.id == ApiKey.owner_id)
    .where(ApiKey.id == bindparam("key_id"), User.is_active)
)
_NOTE_USE = update(ApiKey.__table__).where(ApiKey.id == bindparam("key_id"))  # type: ignore[arg-type]


def make(data: dict[str, Any]) -> ApiKey:
    """A new key of the caller's, with its secret in `secret`, this once.

    Raises:
        Problem: 422, a scope that the caller does not have.
    """
    beyond = [scope for scope in data["scopes"] if not current_caller.can(scope)]
    if beyond:
        detail = f"The caller's role does not hold: {', '.join(beyond)}."
        raise Problem("validation-error", errors=[{"detail": detail, "pointer": "#/scopes"}])
    key_id, random = uuid7(), secrets.token_bytes(32)
    secret = PREFIX + urlsafe_b64encode(key_id.bytes + random).decode()
    key = ApiKey(id=key_id, owner_id=current_caller.id, prefix=secret[:12], **data)
    key.secret_hash, key.secret = sha256_digest(random), secret
    return key


def load_caller(secret: str) -> Caller:
    """The caller whom a key stands for.

    Raises:
        Problem: 401, there is no such key, or it has expired, or its owner was disabled.
    """
    try:
        raw = urlsafe_b64decode(secret.removeprefix(PREFIX).encode("ascii"))
        key_id = UUID(bytes=raw[:16])
    except ValueError as error:
        raise invalid_token_problem() from error
    found = next(iter(execute.fetch_autocommit(_FIND, {"key_id": key_id})), None)
    if found is None or not secrets.compare_digest(found.secret_hash, sha256_digest(raw[16:])):
        raise invalid_token_problem()
    if found.expires_at is not None and found.expires_at <= now():
        raise invalid_token_problem()
    if found.last_used_at is None or found.last_used_at < now() - USE_IS_NOTED_AFTER:
        execute.execute_autocommit(_NOTE_USE.values(last_used_at=now()), {"key_id": key_id})
    permissions = ROLES[found.role] & frozenset(found.scopes)
    return Caller(id=found.user_id, role=found.role, permissions=permissions, api_key_id=key_id)

"""Identities and users: who logs in, who is registered, and which identities are linked."""

from typing import Any
from uuid import UUID

import structlog
from marshmallow import ValidationError
from sqlalchemy import Row, Select, exists, select

from app.auth import notices
from app.auth.accounts import (
    credentials_revoked,
    login_without_password,
    require_another_login,
)
from app.auth.login import open_session
from app.auth.models import Session
from app.auth.refresh_token_format import split_refresh_token
from app.auth.second_factors import USER_COLUMNS
from app.core.database.types import now
from app.core.resources import repository
from app.core.schemas.email_address import canonical_email
from app.core.schemas.text_fields import Name
from app.core.security.authorization import (
    CHALLENGE,
    current_caller,
    unauthorized_problem,
)
from app.core.web.problems import Problem
from app.extensions import db
from app.oidc.models import Identity, ProviderSession
from app.oidc.schemas import IdentitySchema
from app.users.models import User
from app.users.passwords import NO_PASSWORD
from app.users.schemas import UserSchema
from app.users.service import lock_user, set_caller

METHOD = "oidc"  # of a session that begins with a login at a provider
IDENTITY_LINKED = notices.declare(
    "identity-linked",
    "Another way to log in",
    "An account at another provider was linked to your account. It can log in to it.",
)
IDENTITY_UNLINKED = notices.declare(
    "identity-unlinked",
    "A way to log in was removed",
    "An account at another provider was unlinked from your account.",
)

log = structlog.get_logger()

_IDENTITY, _USER, _NAME = IdentitySchema(), UserSchema(), Name(max_length=100, required=True)
_COLUMNS: tuple[Any, ...] = (*USER_COLUMNS, User.email_verified_at)
_SELECT_USER: Select[Any] = select(*_COLUMNS).with_for_update(key_share=True)


def log_in(claims: dict[str, Any]) -> dict[str, Any]:
    """Create a session of the user with this identity, and return the body with its tokens.

    The user is, in this order: the one to whom the identity is linked; the one whose e-mail address
    both sides have verified, to whom it is then linked; a new one.

    Args:
        claims: of a valid ID token.

    Raises:
        Problem: 401, the account is disabled, or a second factor is due; 403, the provider has not
            verified an address; 409, the address is that of an account which has not verified it.
    """
    user = _find_by_identity(claims) or _find_by_email(claims)
    if not user.is_active:
        raise unauthorized_problem("The account is disabled.")
    try:
        tokens = open_session(user, (METHOD,))
    except Problem:  # a second factor is due
        db.session.commit()
        raise
    if tokens is None:  # another request has changed the user, which only SQLite allows here
        raise Problem("conflict")
    session_id, _ = split_refresh_token(tokens["refresh_token"])
    sid = claims.get("sid")
    db.session.add(
        ProviderSession(
            session_id=session_id,
            issuer=claims["iss"],
            subject=claims["sub"],
            sid=sid if isinstance(sid, str) and len(sid) <= 255 and "\x00" not in sid else None,
        )
    )
    return tokens


def link(claims: dict[str, Any], session_id: UUID | None) -> Row[Any]:
    """Link an identity to the user of a session, and return its row.

    Raises:
        Problem: 401, the session has ended; 409, the identity is linked to another user, or the
            user to another identity of the provider.
    """
    statement = _SELECT_USER.join(Session, Session.owner_id == User.id)
    user = db.session.execute(statement.where(Session.id == session_id)).first()
    if user is None or not user.is_active:
        raise unauthorized_problem("The session in which the link was started has ended.")
    identity = _create_identity(claims, user)
    notices.notify(IDENTITY_LINKED, user.id)
    return identity


def _find_by_identity(claims: dict[str, Any]) -> Row[Any] | None:
    # Locks user and identity until the commit: a reset of the password that deletes them must not
    # leave a session behind.
    statement = _SELECT_USER.join(Identity, Identity.owner_id == User.id).where(
        Identity.issuer == claims["iss"], Identity.subject == claims["sub"]
    )
    return db.session.execute(statement).first()


def _find_by_email(claims: dict[str, Any]) -> Row[Any]:
    """Return the user with the e-mail address, who may be new, and link the identity."""
    email = _verified_email(claims)
    statement = _SELECT_USER.where(User.email == email)
    user = db.session.execute(statement).first()
    if user is None:
        _register(email, claims)
        user = db.session.execute(statement).one()
        _create_identity(claims, user)
    elif user.email_verified_at is None:
        # Its password may be that of another person: tests/auth/test_prehijacking.py
        raise Problem(
            "conflict",
            "An account with this e-mail address exists, and has not verified it. Set a new "
            "password by mail, which verifies it, and log in again.",
        )
    elif user.is_active:
        _create_identity(claims, user)
        notices.notify(IDENTITY_LINKED, user.id)
    return user


def _verified_email(claims: dict[str, Any]) -> str:
    email, is_verified = claims.get("email"), claims.get("email_verified")
    if is_verified is True and isinstance(email, str) and "\x00" not in email:
        try:
            return canonical_email(email)
        except ValueError:
            log.info("oidc_email_not_valid")
    detail = "The provider has not verified an e-mail address of this account."
    raise Problem("forbidden", detail, headers={"WWW-Authenticate": CHALLENGE})


def _register(email: str, claims: dict[str, Any]) -> None:
    name = claims.get("name")
    try:
        name = _NAME.deserialize(name[:100] if isinstance(name, str) else None)
    except ValidationError:
        name = email.partition("@")[0]
    user = User(email=email, name=name, password_hash=NO_PASSWORD, email_verified_at=now())
    row = repository.create(user, _USER)
    log.info("oidc_user_registered", user_id=str(row.id))


def _create_identity(claims: dict[str, Any], user: Row[Any]) -> Row[Any]:
    set_caller(user)
    identity = Identity(owner_id=user.id, issuer=claims["iss"], subject=claims["sub"])
    row = repository.create(identity, _IDENTITY)
    log.info("oidc_identity_linked", user_id=str(user.id), issuer=claims["iss"])
    return row


def prepare_unlinking(identity_id: UUID) -> None:
    """Check that the caller can log in without an identity, whose removal is mailed.

    Locks the caller until the commit.

    Raises:
        Problem: 409, it is the only way to log in.
    """
    require_another_login(lock_user(current_caller.id), identity_id)
    notices.notify(IDENTITY_UNLINKED, current_caller.id)


@login_without_password.connect
def has_identity(user_id: UUID, except_id: UUID) -> bool:
    """Whether a user has another identity."""
    others = exists().where(Identity.owner_id == user_id, Identity.id != except_id)
    return bool(db.session.scalar(select(others)))


@credentials_revoked.connect
def unlink_all(user_id: UUID) -> None:
    """Delete the identities of a user, which another person may have linked."""
    repository.delete_where(Identity, Identity.owner_id == user_id, _IDENTITY)

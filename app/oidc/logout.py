"""Back-channel logout: a provider ends the sessions that began with a login there.

OpenID Connect Back-Channel Logout 1.0, section 2.8.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select

from app.auth.models import Session
from app.auth.sessions import revoke_session
from app.core.web.problems import Problem
from app.extensions import db
from app.oidc.accounts import METHOD
from app.oidc.flows import use_once
from app.oidc.models import Identity, ProviderSession
from app.oidc.tokens import LEEWAY

log = structlog.get_logger()


def log_out(claims: dict[str, Any]) -> None:
    """Revoke the sessions that a logout token names.

    Args:
        claims: of a valid logout token.

    Raises:
        Problem: 400, the token was used before.
    """
    expires_at = datetime.fromtimestamp(claims["exp"], UTC) + timedelta(seconds=2 * LEEWAY)
    # In the transaction of its effect: the provider can repeat a request that has failed.
    if not use_once(f"{claims['iss']} {claims['jti']}", expires_at):
        raise Problem("bad-request", "The logout token was used before.")
    statement = select(ProviderSession.session_id).where(ProviderSession.issuer == claims["iss"])
    if "sub" in claims:
        statement = statement.where(ProviderSession.subject == claims["sub"])
    if "sid" in claims:
        statement = statement.where(ProviderSession.sid == claims["sid"])
    ids = {*db.session.scalars(statement), *_sessions_after_second_factor(claims)}
    for session_id in ids:
        revoke_session(session_id)
    log.info("oidc_logged_out", issuer=claims["iss"], sessions=len(ids))


def _sessions_after_second_factor(claims: dict[str, Any]) -> Iterator[UUID]:
    """The sessions of which it is not known in which session of the provider they began."""
    # Another route opens them. To end too many is safe.
    statement = (
        select(Session.id, Session.methods)
        .join(Identity, Identity.owner_id == Session.owner_id)
        .outerjoin(ProviderSession, ProviderSession.session_id == Session.id)
        .where(Identity.issuer == claims["iss"], Identity.subject == claims.get("sub"))
        .where(ProviderSession.session_id.is_(None))
    )
    for session_id, methods in db.session.execute(statement):
        if METHOD in methods:
            yield session_id

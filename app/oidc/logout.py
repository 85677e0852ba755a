"""Back-channel logout: a provider ends the sessions that began with a login there.

OpenID Connect Back-Channel Logout 1.0, section 2.8.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select

from app.auth.sessions import revoke_session
from app.core.web.problems import Problem
from app.extensions import db
from app.oidc.flows import use_once
from app.oidc.models import ProviderSession
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
    ids = db.session.scalars(statement).all()
    for session_id in ids:
        revoke_session(session_id)
    log.info("oidc_logged_out", issuer=claims["iss"], sessions=len(ids))

"""A flow: one attempt to log in or to link, from its start to the provider's response.

Its values are in a signed token, which the client that starts it keeps: a browser in a cookie, a
native client in memory. `state`, `nonce` and the PKCE verifier are derived from that token, so a
response is accepted only together with it. docs/decisions.md#88-flows-of-openid-connect
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert  # SQLite has the same words for ON CONFLICT

from app.core.background.periodic import HOUR, periodic_task
from app.core.database import execute
from app.core.database.types import now
from app.core.resources import unaudited
from app.core.security.authorization import unauthorized_problem
from app.core.security.keys import derive_key
from app.core.security.signing import sign
from app.core.web.problems import Problem
from app.extensions import db
from app.oidc.models import UsedToken
from app.users.passwords import sha256_digest

MAX_AGE = 600  # seconds; the user may have to type a password there


@dataclass(frozen=True, slots=True)
class Flow:
    """One attempt at one provider."""

    provider: str
    redirect_uri: str
    return_to: str = ""  # of a browser: the path to which it returns
    linking_session: str = ""  # the id of the session that links an identity; empty: a login
    random: str = ""
    token: str = ""  # the signed text of all this

    @property
    def state(self) -> str:
        """The parameter `state` (RFC 6749 section 10.12)."""
        return self._derive("oidc state")

    @property
    def nonce(self) -> str:
        """The parameter and claim `nonce` (OpenID Connect Core section 15.5.2)."""
        return self._derive("oidc nonce")

    @property
    def code_verifier(self) -> str:
        """The secret of PKCE (RFC 7636 section 4.1), 43 characters."""
        return self._derive("oidc code verifier")

    @property
    def session_id(self) -> UUID | None:
        """The session that links an identity."""
        return UUID(self.linking_session) if self.linking_session else None

    def _derive(self, purpose: str) -> str:
        return urlsafe_b64encode(sign(purpose, self.token.encode())).rstrip(b"=").decode()


def start_flow(flow: Flow) -> Flow:
    """Return the flow with its token."""
    flow = replace(flow, random=secrets.token_urlsafe(32))
    values = {name: value for name, value in asdict(flow).items() if name != "token"}
    return replace(flow, token=_serializer().dumps(values))


def finish_flow(
    token: str | None,
    state: str | None,
    provider: str | None = None,
    session_id: UUID | None = None,
) -> Flow:
    """Return the flow of a response, once.

    Args:
        token: that of the client which has sent the response.
        state: the parameter of the response.
        provider: the one whose redirect URI of browsers was called; None for a native client.
        session_id: of the session in which a native client links an identity; None for a login.

    Raises:
        Problem: 401, the client did not start the flow, or it has expired or is finished.
    """
    try:
        flow = Flow(**_serializer().loads(token or "", max_age=MAX_AGE), token=token or "")
    except (BadData, TypeError) as error:
        raise _unknown_flow_problem() from error
    # A response to one provider's redirect URI must be that provider's (mix-up), and one client
    # must not finish what another has started.
    if provider != (flow.provider if flow.return_to else None):
        raise _unknown_flow_problem()
    # A browser is redirected from another site, so it does not send the cookies of its session.
    if provider is None and session_id != flow.session_id:
        raise _unknown_flow_problem()
    if not hmac.compare_digest((state or "").encode(), flow.state.encode()):
        raise _unknown_flow_problem()
    is_first = use_once(flow.state, now() + timedelta(seconds=2 * MAX_AGE))
    db.session.commit()  # also if the rest fails; and no transaction waits for the provider
    if not is_first:
        raise _unknown_flow_problem()
    return flow


def _serializer() -> URLSafeTimedSerializer:
    options = {"digest_method": sha256}
    return URLSafeTimedSerializer(derive_key("oidc flows"), signer_kwargs=options)


def _unknown_flow_problem() -> Problem:
    return unauthorized_problem("This login was not started here, has expired or is finished.")


_USE = (
    insert(UsedToken)
    .values(hash=bindparam("hash"), expires_at=bindparam("expires_at"))
    .on_conflict_do_nothing()
    .returning(UsedToken.hash)
)


def use_once(text: str, expires_at: datetime) -> bool:
    """Whether a text is used for the first time; recorded in the transaction."""
    values = {"hash": sha256_digest(text.encode()), "expires_at": expires_at}
    return bool(execute.execute_in_transaction(_USE, values))


@periodic_task("oidc-used-tokens", interval=HOUR)
def purge_used_tokens() -> int:
    """Delete what has expired and could not be used anyway; return the number."""
    return unaudited.delete_in_batches(UsedToken, UsedToken.expires_at <= now())

"""The start and the end of a flow, and where a browser keeps it between the two."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from flask import after_this_request, current_app, request

from app.core.security.authorization import unauthorized_problem
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.core.web.urls import below_prefix
from app.oidc.flows import MAX_AGE, Flow, finish_flow, start_flow
from app.oidc.http_client import ProviderError, RefusedError
from app.oidc.provider import Provider
from app.oidc.tokens import InvalidTokenError
from app.telemetry.metrics import LOGINS

RETRY_AFTER = "5"  # seconds; see `documents.PAUSE`
# With this prefix no other host of the domain can set it. Lax, since the provider's redirect comes
# from another site.
FLOW_COOKIE = "__Host-oidc_flow"
_COOKIE_OPTIONS: dict[str, Any] = {"secure": True, "httponly": True, "samesite": "Lax"}
_PARAMETERS = ("state", "code", "iss", "error")

log = structlog.get_logger()

JSON = dict[str, Any]


def start(
    provider: str, *, redirect_uri: str = "", return_to: str = "", session_id: UUID | None = None
) -> tuple[Flow, str]:
    """Return a new flow and the URL at which the user logs in.

    Args:
        redirect_uri: of a native client; without it, the response goes to this service.
        session_id: of the session that links an identity.

    Raises:
        Problem: 404 or 422, there is no such provider; 502 or 503, it does not answer as it must.
    """
    found = _provider(provider)
    uri = redirect_uri or _callback_uri(provider)
    linking = str(session_id) if session_id else ""
    flow = start_flow(Flow(provider, uri, return_to, linking))
    with _provider_problems(found):
        return flow, found.authorization_url(flow)


def finish(
    token: str | None,
    response: Mapping[str, str | None],
    provider: str | None = None,
    session_id: UUID | None = None,
) -> tuple[Flow, JSON]:
    """Return a flow and the claims of its ID token. No transaction is open during the requests.

    Args:
        token: that of the flow, from the client that has sent the response.
        response: the parameters of the provider's response.
        provider: the one whose redirect URI was called.
        session_id: of the session in which a native client links an identity.

    Raises:
        Problem: 401, the client or session did not start the flow, it has expired or is finished,
            or the response is not valid; 502 or 503, the provider does not answer as it must.
    """
    flow = finish_flow(token, response.get("state"), provider, session_id)
    found = _provider(flow.provider)
    with _provider_problems(found):
        found.check_issuer(response.get("iss"))
        code = response.get("code")
        if response.get("error") or not code:
            raise RefusedError
        return flow, found.exchange(code, flow)


def logout_claims(provider: str, token: str) -> JSON:
    """Return the claims of a logout token.

    Raises:
        Problem: 400, it is not valid; 404, there is no such provider; 502 or 503, it does not
            answer as it must.
    """
    found = _provider(provider)
    with _provider_problems(found):
        try:
            return found.check_logout_token(token)
        except InvalidTokenError as error:
            log.warning("oidc_logout_rejected", provider=provider, reason=str(error))
            raise Problem("bad-request", "The logout token is not valid.") from error


def query_parameters() -> dict[str, str | None]:
    """Return the parameters of a response; further ones are ignored (RFC 6749 section 4.1.2).

    Raises:
        Problem: 401, one is repeated (section 3.1).
    """
    values = {name: request.args.getlist(name) for name in _PARAMETERS}
    if any(len(value) > 1 for value in values.values()):
        raise invalid_response_problem()
    return {name: value[0] if value else None for name, value in values.items()}


def keep_in_browser(flow: Flow) -> None:
    """Set the cookie with the flow."""

    def set_cookie(response: Response) -> Response:
        if response.status_code < 400:
            response.set_cookie(FLOW_COOKIE, flow.token, max_age=MAX_AGE, **_COOKIE_OPTIONS)
        return response

    after_this_request(set_cookie)


def take_from_browser() -> str | None:
    """Return the token of the flow in the cookie, which the response deletes."""

    def delete_cookie(response: Response) -> Response:
        response.delete_cookie(FLOW_COOKIE, **_COOKIE_OPTIONS)
        return response

    after_this_request(delete_cookie)
    return request.cookies.get(FLOW_COOKIE)


def invalid_response_problem() -> Problem:
    """Return the 401 for every response of a provider that does not prove who the user is."""
    return unauthorized_problem("The response of the provider is not valid.")


def _provider(name: str) -> Provider:
    provider: Provider | None = current_app.extensions["oidc"].get(name)
    if provider is None and "provider" in (request.view_args or {}):
        raise Problem("not-found")
    if provider is None:
        error = {"detail": "There is no provider with this name.", "pointer": "#/provider"}
        raise Problem("validation-error", errors=[error])
    return provider


def _callback_uri(provider: str) -> str:
    """The redirect URI that is registered at the provider, independent of the host of requests."""
    origin = urlsplit(current_app.config["PUBLIC_URL"])
    path = below_prefix(f"/api/v1/auth/oidc/{provider}/callback")
    return f"{origin.scheme}://{origin.netloc}{path}"


@contextmanager
def _provider_problems(provider: Provider) -> Iterator[None]:
    """Raise the problems for errors of a provider in the `with` block."""
    try:
        yield
    except ProviderError as error:
        log.warning("oidc_provider_failed", provider=provider.name, reason=str(error))
        if error.unavailable:
            headers = {"Retry-After": RETRY_AFTER}
            detail = "The identity provider does not answer."
            raise Problem("service-unavailable", detail, headers=headers) from error
        detail = "The identity provider does not answer as its protocol requires."
        raise Problem("bad-gateway", detail) from error
    except (RefusedError, InvalidTokenError) as error:
        LOGINS.labels("failed").inc()
        reason = str(error) or "refused"
        log.warning("oidc_login_failed", provider=provider.name, reason=reason)
        raise invalid_response_problem() from error

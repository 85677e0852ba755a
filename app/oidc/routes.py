"""Routes of /auth/oidc: the JSON flow of native clients, identities, and the flow of browsers.

The routes for browsers and for providers redirect or take forms, so they are no operations of the
OpenAPI document; docs/auth.md describes them.
"""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import redirect, request

from app.auth import cookies
from app.auth.routes import FAILED_LOGINS
from app.auth.schemas import TokensSchema
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import (
    authenticated,
    current_caller,
    no_auth,
    recently_authenticated,
)
from app.core.web import after_commit
from app.core.web.flask_app import Response
from app.core.web.problems import Problem
from app.core.web.query_string import load_query
from app.extensions import db
from app.oidc import accounts, login, logout
from app.oidc.flows import MAX_AGE
from app.oidc.models import Identity
from app.oidc.schemas import (
    AuthorizationSchema,
    BrowserQuery,
    IdentitySchema,
    LinkSchema,
    NativeAuthorizationSchema,
    NativeFlowSchema,
    NativeResponseSchema,
)

PREFIX = "/api/v1/auth/oidc"
UNAVAILABLE = "The provider does not answer."
MALFORMED = "The provider does not answer as its protocol requires."

oidc = Blueprint("oidc", __name__, url_prefix=PREFIX, description="Accounts at other providers.")
browser = Blueprint("oidc_browser", __name__, url_prefix=PREFIX, documented=False)


@oidc.post("/logins", access=no_auth, rate_limit=FAILED_LOGINS)
@oidc.body(NativeFlowSchema)
@oidc.response(200, NativeAuthorizationSchema, repeatable=False)
@oidc.error(502, MALFORMED)
@oidc.error(503, UNAVAILABLE)
def start_login(data: dict[str, Any]) -> dict[str, Any]:
    """Start a login with a provider, in a native client.

    The client opens `authorization_url` in the user's browser and listens at `redirect_uri` (RFC
    8252). PKCE is done by the service.
    """
    return _start_native(data)


@oidc.post("/logins/finish", access=no_auth, rate_limit=FAILED_LOGINS)
@oidc.body(NativeResponseSchema)
@oidc.response(200, TokensSchema, repeatable=False)
@oidc.error(
    401,
    "The flow is unknown, expired or finished, or the response is not valid; or "
    "(`second-factor-required`) it is valid and a second factor is due.",
)
@oidc.error(403, "The provider has not verified an e-mail address.")
@oidc.error(409, "The e-mail address is that of an account which has not verified it.")
@oidc.error(502, MALFORMED)
@oidc.error(503, UNAVAILABLE)
def finish_login(data: dict[str, Any]) -> dict[str, Any]:
    """Finish a login with a provider, in a native client.

    A user who is not known is registered, if the provider has verified the e-mail address.
    """
    _, claims = login.finish(data["flow"], data)
    return accounts.log_in(claims)


@oidc.post("/links", access=recently_authenticated, rate_limit=FAILED_LOGINS)
@oidc.body(LinkSchema)
@oidc.response(200, AuthorizationSchema, repeatable=False)
@oidc.error(404, "Cookies are disabled.")
@oidc.error(502, MALFORMED)
@oidc.error(503, UNAVAILABLE)
def start_link(data: dict[str, Any]) -> dict[str, Any]:
    """Start to link an account at a provider to the caller's account.

    Sets a cookie: the page of this origin then opens `authorization_url` in the same browser.
    """
    cookies.require_enabled()
    flow, url = login.start(
        data["provider"], return_to=data["return_to"], session_id=current_caller.session_id
    )
    login.keep_in_browser(flow)
    return {"authorization_url": url, "expires_in": MAX_AGE}


@oidc.post("/links/native", access=recently_authenticated, rate_limit=FAILED_LOGINS)
@oidc.body(NativeFlowSchema)
@oidc.response(200, NativeAuthorizationSchema, repeatable=False)
@oidc.error(502, MALFORMED)
@oidc.error(503, UNAVAILABLE)
def start_native_link(data: dict[str, Any]) -> dict[str, Any]:
    """Start to link an account at a provider to the caller's account, in a native client.

    The client opens `authorization_url` as for a login, and finishes in the same session.
    """
    return _start_native(data, current_caller.session_id)


@oidc.post("/links/native/finish", access=recently_authenticated, rate_limit=FAILED_LOGINS)
@oidc.body(NativeResponseSchema)
@oidc.response(200, IdentitySchema, repeatable=False)
@oidc.error(
    401,
    "The flow is unknown, expired, finished or another session's, or the response is not valid; or "
    "(`recent-login-required`) the login is too long ago.",
)
@oidc.error(409, "The account of the provider is linked already, or the caller to another one.")
@oidc.error(502, MALFORMED)
@oidc.error(503, UNAVAILABLE)
def finish_native_link(data: dict[str, Any]) -> Any:
    """Finish linking an account at a provider to the caller's account, in a native client.

    Only the session that started the flow can finish it.
    """
    _, claims = login.finish(data["flow"], data, session_id=current_caller.session_id)
    return accounts.link(claims, current_caller.session_id)


@oidc.get("/identities", access=authenticated)
@oidc.paginated(IdentitySchema, Sort({"created_at": Identity.created_at}, default="-created_at"))
def list_identities() -> ScopedSelect:
    """List the accounts at providers that are linked to the caller."""
    return Identity.visible_to(current_caller)


@oidc.get("/identities/<uuid:identity_id>", access=authenticated)
@oidc.returns(IdentitySchema)
def read_identity(identity_id: UUID) -> ScopedSelect:
    """Read an account at a provider that is linked to the caller."""
    return Identity.visible_to(current_caller)


@oidc.delete("/identities/<uuid:identity_id>", access=recently_authenticated)
@oidc.deletes(IdentitySchema)
@oidc.queries(2)
@oidc.error(409, "It is the only way to log in to the account.")
def unlink(identity_id: UUID) -> ScopedSelect:
    """Unlink an account at a provider.

    Sessions that began with it remain.
    """
    accounts.prepare_unlinking(identity_id)
    return Identity.visible_to(current_caller)


@browser.get("/<provider>/login", access=no_auth, rate_limit=FAILED_LOGINS)
def redirect_to_provider(provider: str) -> Any:
    """Redirect a browser to the provider, and let it keep the flow in a cookie."""
    cookies.require_enabled()
    return_to = load_query(BrowserQuery())["return_to"]
    flow, url = login.start(provider, return_to=return_to)
    login.keep_in_browser(flow)
    return _redirect(url)


@browser.get("/<provider>/callback", access=no_auth, rate_limit=FAILED_LOGINS)
def receive_response(provider: str) -> Any:
    """Finish the flow of a browser with the response of the provider, and redirect to a page."""
    cookies.require_enabled()
    flow, claims = login.finish(login.take_from_browser(), login.query_parameters(), provider)
    fragment = ""
    if flow.session_id:
        accounts.link(claims, flow.session_id)
    else:
        fragment = _log_in(claims)
    response = _redirect(flow.return_to + fragment)
    db.session.commit()  # a GET is not committed otherwise
    after_commit.schedule_on_close(response)
    return response


@browser.post("/<provider>/backchannel-logout", access=no_auth, rate_limit=FAILED_LOGINS)
def log_out_by_provider(provider: str) -> Any:
    """Revoke the sessions that a logout token of the provider names; 400 if it is not valid."""
    tokens = request.form.getlist("logout_token")
    if len(tokens) != 1:
        raise Problem("bad-request", "The form has no logout_token.")
    logout.log_out(login.logout_claims(provider, tokens[0]))
    return Response(status=200, headers={"Cache-Control": "no-store"})


def _start_native(data: dict[str, Any], session_id: UUID | None = None) -> dict[str, Any]:
    flow, url = login.start(**data, session_id=session_id)
    return {"authorization_url": url, "flow": flow.token, "expires_in": MAX_AGE}


def _log_in(claims: dict[str, Any]) -> str:
    """Set the cookies of a login, or return what the page needs for the second factor."""
    try:
        cookies.set_auth_cookies(accounts.log_in(claims))
    except Problem as problem:
        if "mfa_token" not in problem.members:
            raise
        # In the fragment, which browsers do not send, so it is in no log.
        token, methods = problem.members["mfa_token"], " ".join(problem.members["methods"])
        return "#" + urlencode({"mfa_token": token, "methods": methods})
    return ""


def _redirect(url: str) -> Any:
    response = redirect(url, 303, Response)
    response.headers["Cache-Control"] = "no-store"
    return response

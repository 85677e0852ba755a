"""Routes of /auth: login, tokens, sessions, API keys, tokens sent by mail."""

from typing import Any
from uuid import UUID

from app.auth import accounts, api_keys, cookies, email_change, login, sessions, token_rotation
from app.auth.email_tokens import RESET, VERIFY, request_token_email
from app.auth.models import ApiKey, Session
from app.auth.schemas import (
    ApiKeySchema,
    CookiesSchema,
    EmailAddressSchema,
    EmailTokenSchema,
    LoginSchema,
    NewApiKeySchema,
    PasswordResetSchema,
    RefreshSchema,
    SessionSchema,
    TokensSchema,
)
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import (
    authenticated,
    current_caller,
    leaving,
    no_auth,
    recently_authenticated,
)
from app.core.web.rate_limit import FailureLimit

# Logins that succeed count for the general limit only; failures also for their account.
FAILED_LOGINS = FailureLimit("LOGIN_RATE_LIMIT")
WRONG_CREDENTIALS = (
    "The e-mail address or the password is wrong, or the account is disabled; or "
    "(`second-factor-required`) both are right and a second factor is due."
)

auth = Blueprint("auth", __name__, url_prefix="/api/v1/auth", description="Login and credentials.")


@auth.post("/login", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.body(LoginSchema)
@auth.response(200, TokensSchema, repeatable=False)
@auth.error(401, WRONG_CREDENTIALS)
@auth.queries(7)
def log_in(data: dict[str, Any]) -> dict[str, Any]:
    """Log in with e-mail and password.

    Returns a short-lived access token, and a refresh token that is exchanged for the next pair.
    """
    return login.log_in(**data)


@auth.post("/refresh", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.body(RefreshSchema)
@auth.response(200, TokensSchema, repeatable=False)
@auth.error(401, "The refresh token is invalid, used or expired.")
@auth.error(409, "Another request has just exchanged the refresh token.")
@auth.queries(3)
def refresh(data: dict[str, Any]) -> dict[str, Any]:
    """Exchange a refresh token for new tokens.

    A refresh token can be used once; its reuse revokes the session.
    """
    return token_rotation.refresh(data["refresh_token"])


@auth.post("/logout", access=leaving)
@auth.response(204, repeatable=False)
@auth.queries(2)
def log_out() -> None:
    """Log out.

    Revokes the session of the access token, and deletes the cookies. Where the access token in the
    cookie has expired, it is the session of the refresh token.
    """
    sessions.revoke_session(current_caller.session_id or cookies.session_left())
    cookies.clear_auth_cookies()


@auth.post("/cookies", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.body(LoginSchema)
@auth.response(200, CookiesSchema, repeatable=False)
@auth.error(401, WRONG_CREDENTIALS)
@auth.error(404, "Cookies are disabled.")
@auth.queries(7)
def log_in_with_cookies(data: dict[str, Any]) -> dict[str, Any]:
    """Log in with e-mail and password, from a page of the same origin.

    The tokens are set as HttpOnly cookies. Available if the setting AUTH_COOKIES is true.
    """
    cookies.require_enabled()
    return cookies.set_auth_cookies(login.log_in(**data))


@auth.post("/cookies/refresh", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.response(200, CookiesSchema, repeatable=False)
@auth.error(
    401, "The cookie with the refresh token is missing, or the token is invalid, used or expired."
)
@auth.error(403, "The CSRF token is missing or wrong.")
@auth.error(404, "Cookies are disabled.")
@auth.error(409, "Another request has just exchanged the refresh token.")
@auth.queries(3)
def refresh_cookies() -> dict[str, Any]:
    """Exchange the cookie with the refresh token for new cookies.

    Requires `X-CSRF-Token`. A 401 deletes the cookies.
    """
    return cookies.set_auth_cookies(token_rotation.refresh(cookies.refresh_token_from_cookie()))


@auth.get("/sessions", access=authenticated)
@auth.paginated(SessionSchema, Sort({"created_at": Session.created_at}, default="-created_at"))
def list_sessions() -> ScopedSelect:
    """List the caller's sessions."""
    return Session.visible_to(current_caller)


@auth.delete("/sessions", access=recently_authenticated)
@auth.response(204)
@auth.queries(2)
def revoke_other_sessions() -> None:
    """Revoke all sessions of the caller except the current one."""
    sessions.revoke_sessions(current_caller.id, except_id=current_caller.session_id)


@auth.get("/sessions/<uuid:session_id>", access=authenticated)
@auth.returns(SessionSchema)
def read_session(session_id: UUID) -> ScopedSelect:
    """Read a session of the caller."""
    return Session.visible_to(current_caller)


@auth.delete("/sessions/<uuid:session_id>", access=recently_authenticated)
@auth.deletes(SessionSchema)
def revoke_session(session_id: UUID) -> ScopedSelect:
    """Revoke a session of the caller."""
    return Session.visible_to(current_caller)


@auth.get("/api-keys", access=authenticated)
@auth.paginated(ApiKeySchema, Sort({"created_at": ApiKey.created_at}, default="-created_at"))
def list_api_keys() -> ScopedSelect:
    """List the caller's API keys."""
    return ApiKey.visible_to(current_caller)


@auth.post("/api-keys", access=recently_authenticated)
@auth.body(ApiKeySchema)
@auth.creates(NewApiKeySchema)
@auth.queries(3)
def create_api_key(data: dict[str, Any]) -> ApiKey:
    """Create an API key.

    Only this response contains its secret. The key is sent as a bearer token, and has the
    permissions of its owner that its scopes name.
    """
    return api_keys.create_api_key(data)


@auth.get("/api-keys/<uuid:key_id>", access=authenticated)
@auth.returns(ApiKeySchema)
def read_api_key(key_id: UUID) -> ScopedSelect:
    """Read an API key of the caller."""
    return ApiKey.visible_to(current_caller)


@auth.delete("/api-keys/<uuid:key_id>", access=authenticated)
@auth.deletes(ApiKeySchema)
def revoke_api_key(key_id: UUID) -> ScopedSelect:
    """Revoke an API key.

    The next request with it is a 401.
    """
    return ApiKey.visible_to(current_caller)


@auth.post("/password/forgot", access=no_auth, rate_limit="MAIL_RATE_LIMIT")
@auth.body(EmailAddressSchema)
@auth.response(202)
@auth.queries(1)
def request_password_reset(data: dict[str, Any]) -> None:
    """Request a mail with a link to set a new password.

    The response does not reveal whether the e-mail address is registered.
    """
    request_token_email(RESET, email=data["email"])


@auth.post("/password/reset", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.body(PasswordResetSchema)
@auth.response(204, repeatable=False)
@auth.error(401, "The token is invalid, used or expired.")
@auth.queries(14)
def reset_password(data: dict[str, Any]) -> None:
    """Set a new password with a token from a mail.

    The token can be used once. All sessions are revoked, and the e-mail address is verified.
    """
    accounts.reset_password(**data)


@auth.post("/email/verify", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.body(EmailTokenSchema)
@auth.response(204)
@auth.error(401, "The token is invalid, used or expired.")
@auth.queries(9)
def verify_email(data: dict[str, Any]) -> None:
    """Verify an e-mail address with a token from a mail."""
    accounts.verify_email(**data)


@auth.post("/email/resend", access=authenticated, rate_limit="MAIL_RATE_LIMIT")
@auth.response(202)
@auth.queries(1)
def resend_verification() -> None:
    """Request another mail to verify the caller's e-mail address.

    No mail is sent if the address has been verified.
    """
    request_token_email(VERIFY, id=current_caller.id, owner_id=current_caller.id)


@auth.post("/email/change", access=recently_authenticated, rate_limit="MAIL_RATE_LIMIT")
@auth.body(EmailAddressSchema)
@auth.response(202)
@auth.queries(5)
def request_email_change(data: dict[str, Any]) -> None:
    """Request a change of the caller's e-mail address.

    A mail with a link is sent to the current and to the new address. The address changes when both
    links were opened; a new password or another request cancels it. The response does not reveal
    whether the new address is registered.
    """
    email_change.request_change(data["email"])


@auth.post("/email/change/confirm", access=no_auth, rate_limit=FAILED_LOGINS)
@auth.body(EmailTokenSchema)
@auth.response(204)
@auth.error(401, "The token is invalid, used or expired.")
@auth.error(409, "The address has been registered by another account meanwhile.")
@auth.queries(14)
def confirm_email_change(data: dict[str, Any]) -> None:
    """Confirm a change of the e-mail address with a token from a mail.

    The second confirmation changes the address and revokes all sessions and API keys.
    """
    email_change.confirm_change(data["token"])

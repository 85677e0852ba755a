"""Auth: log in, stay logged in, log out; recover a password, confirm an address."""

from typing import Any
from uuid import UUID

from app.auth import api_keys, cookies, service, sessions
from app.auth.mail_tokens import RESET, VERIFY, ask_for_mail
from app.auth.models import ApiKey, Session
from app.auth.schemas import (
    AddressSchema,
    ApiKeyQuery,
    ApiKeySchema,
    CookiesSchema,
    LoginSchema,
    MailTokenSchema,
    NewApiKeySchema,
    PasswordResetSchema,
    RefreshSchema,
    SessionQuery,
    SessionSchema,
    TokensSchema,
)
from app.kit.access import anyone, caller, newcomer, signed_in
from app.kit.blueprint import Blueprint
from app.kit.rows import Visible

auth = Blueprint("auth", __name__, url_prefix="/auth", description="Log in and out.")


@auth.post("/login", access=anyone, limit="LOGIN_RATE_LIMIT")
@auth.body(LoginSchema)
@auth.answers(200, TokensSchema)
@auth.refuses(401, "The address or the password is wrong, or the account is disabled.")
def log_in(data: dict[str, Any]) -> dict[str, Any]:
    """Log in with e-mail and password.

    Gives a short-lived access token, and a refresh token to exchange for the next.
    """
    return service.log_in(**data)


@auth.post("/refresh", access=anyone, limit="LOGIN_RATE_LIMIT")
@auth.body(RefreshSchema)
@auth.answers(200, TokensSchema)
@auth.refuses(401, "The refresh token is not, or no longer, valid.")
@auth.refuses(409, "It was exchanged this moment, by another request.")
def refresh(data: dict[str, Any]) -> dict[str, Any]:
    """Exchange a refresh token for new tokens.

    A refresh token works once; one that is used again ends its session.
    """
    return service.refresh(data["refresh_token"])


@auth.post("/logout", access=signed_in)
@auth.answers(204)
def log_out() -> None:
    """End the session that the access token belongs to."""
    sessions.end_session(caller.session_id)
    cookies.take_back()


@auth.post("/cookies", access=newcomer, limit="LOGIN_RATE_LIMIT")
@auth.body(LoginSchema)
@auth.answers(200, CookiesSchema)
@auth.refuses(401, "The address or the password is wrong, or the account is disabled.")
@auth.refuses(404, "This service gives no cookies.")
def log_in_with_cookies(data: dict[str, Any]) -> dict[str, Any]:
    """Log in with e-mail and password, from a browser's page of the same origin.

    The tokens are given as cookies, which no script can read. Where AUTH_COOKIES is set.
    """
    cookies.require_enabled()
    return cookies.give(service.log_in(**data))


@auth.post("/cookies/refresh", access=newcomer, limit="LOGIN_RATE_LIMIT")
@auth.answers(200, CookiesSchema)
@auth.refuses(401, "There is no cookie with a refresh token, or it is not, or no longer, valid.")
@auth.refuses(403, "The CSRF token is missing or wrong.")
@auth.refuses(404, "This service gives no cookies.")
@auth.refuses(409, "It was exchanged this moment, by another request.")
def refresh_cookies() -> dict[str, Any]:
    """Exchange the cookie with the refresh token for new cookies.

    Needs `X-CSRF-Token`. Where the answer is 401, it takes the cookies back.
    """
    return cookies.give(service.refresh(cookies.sent_refresh_token()))


@auth.get("/sessions", access=signed_in)
@auth.page(SessionSchema, SessionQuery)
def list_sessions() -> Visible:
    """List one's sessions: where one is logged in."""
    return Session.visible_to(caller)


@auth.delete("/sessions", access=signed_in)
@auth.answers(204)
def end_other_sessions() -> None:
    """End all of one's sessions but this one."""
    sessions.end_sessions(caller.id, besides=caller.session_id)


@auth.get("/sessions/<uuid:session_id>", access=signed_in)
@auth.item(SessionSchema)
def read_session(session_id: UUID) -> Visible:
    """Read one of one's sessions."""
    return Session.visible_to(caller)


@auth.delete("/sessions/<uuid:session_id>", access=signed_in)
@auth.deletes(SessionSchema)
def end_session(session_id: UUID) -> Visible:
    """End one of one's sessions."""
    return Session.visible_to(caller)


@auth.get("/api-keys", access=signed_in)
@auth.page(ApiKeySchema, ApiKeyQuery)
def list_api_keys() -> Visible:
    """List one's API keys."""
    return ApiKey.visible_to(caller)


@auth.post("/api-keys", access=signed_in)
@auth.body(ApiKeySchema)
@auth.creates(NewApiKeySchema)
def create_api_key(data: dict[str, Any]) -> ApiKey:
    """Create an API key for a machine; its secret is shown this once.

    Sent as a bearer token, it may do what its scopes name, as long as its owner may.
    """
    return api_keys.make(data)


@auth.get("/api-keys/<uuid:key_id>", access=signed_in)
@auth.item(ApiKeySchema)
def read_api_key(key_id: UUID) -> Visible:
    """Read one of one's API keys."""
    return ApiKey.visible_to(caller)


@auth.delete("/api-keys/<uuid:key_id>", access=signed_in)
@auth.deletes(ApiKeySchema)
def revoke_api_key(key_id: UUID) -> Visible:
    """Revoke an API key, from its next request on."""
    return ApiKey.visible_to(caller)


@auth.post("/password/forgot", access=newcomer, limit="MAIL_RATE_LIMIT")
@auth.body(AddressSchema)
@auth.answers(202)
def forget_password(data: dict[str, Any]) -> None:
    """Ask for a mail with which to set a new password.

    The answer is the same whether or not the address is registered.
    """
    ask_for_mail(RESET, email=data["email"])


@auth.post("/password/reset", access=newcomer, limit="LOGIN_RATE_LIMIT")
@auth.body(PasswordResetSchema)
@auth.answers(204)
@auth.refuses(401, "The token is not, or no longer, valid.")
def reset_password(data: dict[str, Any]) -> None:
    """Set a new password with a token from a mail.

    The token works once. All sessions end, and the address counts as confirmed.
    """
    service.reset_password(**data)


@auth.post("/email/verify", access=newcomer, limit="LOGIN_RATE_LIMIT")
@auth.body(MailTokenSchema)
@auth.answers(204)
@auth.refuses(401, "The token is not, or no longer, valid.")
def verify_email(data: dict[str, Any]) -> None:
    """Confirm an e-mail address with a token from a mail."""
    service.verify_email(**data)


@auth.post("/email/resend", access=signed_in, limit="MAIL_RATE_LIMIT")
@auth.answers(202)
def resend_verification() -> None:
    """Ask for another mail with which to confirm one's address.

    None is sent where it is confirmed already.
    """
    ask_for_mail(VERIFY, id=caller.id, owner_id=caller.id)

"""Routes of /auth/mfa, and the reset of a user's factors."""

from typing import Any
from uuid import UUID

from app.auth import cookies
from app.auth.routes import FAILED_LOGINS
from app.auth.schemas import CookiesSchema, TokensSchema
from app.auth.user_routes import MANAGE_CREDENTIALS
from app.core.resources.blueprint import Blueprint
from app.core.resources.filters import Sort
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import (
    authenticated,
    current_caller,
    no_auth,
    recently_authenticated,
)
from app.mfa import factors, logins, passkeys, totp
from app.mfa.models import Factor
from app.mfa.schemas import (
    CodeLoginSchema,
    CodeSchema,
    EnrolmentSchema,
    FactorSchema,
    MfaTokenSchema,
    NewFactorSchema,
    PasskeyLoginSchema,
    PasskeyOptionsQuerySchema,
    PasskeyOptionsSchema,
    PasskeySchema,
    RecoveryCodesSchema,
)

INVALID_TOKEN = "The MFA token is invalid or expired."  # noqa: S105 - a description
INVALID_PROOF = "The MFA token or the proof is invalid, expired or used."
NO_PASSKEYS = "Passkeys are not available at the address of this service."

JSON = dict[str, Any]

mfa = Blueprint("mfa", __name__, url_prefix="/api/v1", description="Second factors.")


@mfa.get("/auth/mfa/factors", access=authenticated)
@mfa.paginated(FactorSchema, Sort({"created_at": Factor.created_at}, default="-created_at"))
def list_factors() -> ScopedSelect:
    """List the caller's second factors."""
    return Factor.visible_to(current_caller)


@mfa.post("/auth/mfa/factors", access=recently_authenticated)
@mfa.body(FactorSchema)
@mfa.creates(NewFactorSchema)
@mfa.queries(1)
def create_factor(data: JSON) -> Factor:
    """Create a TOTP factor.

    Only this response contains its secret. It is in use once it is confirmed with a code, within
    an hour.
    """
    user = factors.read_caller()
    return totp.new_factor(user.id, user.email, **data)


@mfa.get("/auth/mfa/factors/<uuid:factor_id>", access=authenticated)
@mfa.returns(FactorSchema)
def read_factor(factor_id: UUID) -> ScopedSelect:
    """Read a second factor of the caller."""
    return Factor.visible_to(current_caller)


@mfa.patch("/auth/mfa/factors/<uuid:factor_id>", access=authenticated)
@mfa.body(FactorSchema, partial=True)
@mfa.updates(FactorSchema)
def update_factor(data: JSON, factor_id: UUID) -> tuple[ScopedSelect, JSON]:
    """Rename a second factor of the caller."""
    return Factor.visible_to(current_caller), data


@mfa.delete("/auth/mfa/factors/<uuid:factor_id>", access=recently_authenticated)
@mfa.deletes(FactorSchema)
@mfa.queries(2)
@mfa.error(
    409, "It is the last factor, and the caller's role needs one; or the only way to log in."
)
def remove_factor(factor_id: UUID) -> ScopedSelect:
    """Remove a second factor of the caller.

    The other sessions are revoked. With the last factor the recovery codes are deleted.
    """
    factors.check_removal(factor_id)
    return Factor.visible_to(current_caller)


@mfa.post("/auth/mfa/factors/<uuid:factor_id>/confirm", access=recently_authenticated)
@mfa.body(CodeSchema)
@mfa.response(204)
@mfa.error(409, "The factor is confirmed already, or the caller has too many.")
def confirm_factor(data: JSON, factor_id: UUID) -> None:
    """Confirm a TOTP factor with a code from the app.

    From then on a login needs it. The other sessions are revoked.
    """
    factors.confirm_factor(factor_id, **data)


@mfa.post("/auth/mfa/recovery-codes", access=recently_authenticated)
@mfa.response(200, RecoveryCodesSchema, repeatable=False)
@mfa.error(409, "The caller has no second factor.")
def replace_recovery_codes() -> JSON:
    """Create ten recovery codes, in place of those from before.

    Each works once in place of a factor. Only this response contains them.
    """
    return factors.new_recovery_codes()


@mfa.post("/auth/mfa/passkeys/options", access=recently_authenticated)
@mfa.response(200, PasskeyOptionsSchema, repeatable=False)
@mfa.error(404, NO_PASSKEYS)
def create_passkey_options() -> JSON:
    """Request the options with which a browser creates a passkey."""
    return passkeys.registration_options()


@mfa.post("/auth/mfa/passkeys", access=recently_authenticated)
@mfa.body(PasskeySchema)
@mfa.response(200, FactorSchema, repeatable=False)
@mfa.error(409, "The passkey is registered already, or the caller has too many factors.")
def register_passkey(data: JSON) -> Any:
    """Register a passkey that a browser has created.

    It is a second factor, and a login by itself where it verifies its user. The other sessions are
    revoked.
    """
    return passkeys.register(**data)


@mfa.post("/auth/mfa/enrolment", access=no_auth, rate_limit=FAILED_LOGINS)
@mfa.body(MfaTokenSchema)
@mfa.response(200, EnrolmentSchema, repeatable=False)
@mfa.error(401, INVALID_TOKEN)
def enrol(data: JSON) -> Any:
    """Create a TOTP factor where the role needs one and the user has none.

    For logins with the method `totp_enrolment`. `/auth/mfa/code` with a code from the app confirms
    the factor and completes the login.
    """
    return logins.enrol(**data)


@mfa.post("/auth/mfa/code", access=no_auth, rate_limit=FAILED_LOGINS)
@mfa.body(CodeLoginSchema)
@mfa.response(200, TokensSchema, repeatable=False)
@mfa.error(401, INVALID_PROOF)
def log_in_with_code(data: JSON) -> JSON:
    """Complete a login with a code from an app, or with a recovery code.

    Each code works once.
    """
    return logins.log_in_with_code(**data)


@mfa.post("/auth/mfa/code/cookies", access=no_auth, rate_limit=FAILED_LOGINS)
@mfa.body(CodeLoginSchema)
@mfa.response(200, CookiesSchema, repeatable=False)
@mfa.error(401, INVALID_PROOF)
@mfa.error(404, "Cookies are disabled.")
def log_in_with_code_and_cookies(data: JSON) -> JSON:
    """Complete a login with a code, from a page of the same origin.

    The tokens are set as HttpOnly cookies.
    """
    cookies.require_enabled()
    return cookies.set_auth_cookies(logins.log_in_with_code(**data))


@mfa.post("/auth/mfa/passkey/options", access=no_auth, rate_limit=FAILED_LOGINS)
@mfa.body(PasskeyOptionsQuerySchema)
@mfa.response(200, PasskeyOptionsSchema, repeatable=False)
@mfa.error(401, INVALID_TOKEN)
@mfa.error(404, NO_PASSKEYS)
def create_login_options(data: JSON) -> JSON:
    """Request the options with which a browser asks for a passkey.

    With the token of an interrupted login for its second factor, without one for a login without a
    password.
    """
    return passkeys.login_options(data.get("mfa_token"))


@mfa.post("/auth/mfa/passkey", access=no_auth, rate_limit=FAILED_LOGINS)
@mfa.body(PasskeyLoginSchema)
@mfa.response(200, TokensSchema, repeatable=False)
@mfa.error(401, INVALID_PROOF)
def log_in_with_passkey(data: JSON) -> JSON:
    """Log in with a passkey, or complete a login with it.

    Without a password the passkey must have verified its user.
    """
    return passkeys.log_in_with_passkey(**data)


@mfa.post("/auth/mfa/passkey/cookies", access=no_auth, rate_limit=FAILED_LOGINS)
@mfa.body(PasskeyLoginSchema)
@mfa.response(200, CookiesSchema, repeatable=False)
@mfa.error(401, INVALID_PROOF)
@mfa.error(404, "Cookies are disabled.")
def log_in_with_passkey_and_cookies(data: JSON) -> JSON:
    """Log in with a passkey, or complete a login with it, from a page of the same origin.

    The tokens are set as HttpOnly cookies.
    """
    cookies.require_enabled()
    return cookies.set_auth_cookies(passkeys.log_in_with_passkey(**data))


@mfa.delete("/users/<uuid:user_id>/factors", access=MANAGE_CREDENTIALS)
@mfa.response(204)
@mfa.queries(8)
def reset_factors(user_id: UUID) -> None:
    """Remove all factors and recovery codes of a user who has lost them.

    The sessions of the user are revoked, and the user is mailed.
    """
    factors.reset_factors(user_id)

"""Passkeys: registration and login (WebAuthn level 2 section 7)."""

import secrets
import struct
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
import webauthn
from flask import current_app
from sqlalchemy import delete, select, update
from webauthn.helpers import base64url_to_bytes, options_to_json_dict, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.auth import login_throttle
from app.auth.login import open_session
from app.auth.second_factors import USER_COLUMNS, read_mfa_token
from app.core.background.periodic import HOUR, periodic_task
from app.core.database.ids import uuid7
from app.core.database.mixins import same_version
from app.core.database.types import now
from app.core.resources import repository, unaudited
from app.core.security.authorization import current_caller, unauthorized_problem
from app.core.web.problems import Problem
from app.extensions import db
from app.mfa.factors import activate, confirmed_factors
from app.mfa.logins import complete
from app.mfa.models import PASSKEY, Challenge, Factor
from app.mfa.schemas import FactorSchema
from app.mfa.settings import mfa_settings
from app.telemetry.metrics import LOGINS
from app.users.models import User
from app.users.passwords import sha256_digest
from app.users.service import lock_user

LIFETIME = timedelta(minutes=5)  # of a challenge
CREATE, GET = b"create", b"get"  # the ceremonies

# What the library raises for credentials that it cannot parse or verify.
_INVALID = (
    *(WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(RecursionError, struct.error),
)

JSON = dict[str, Any]

log = structlog.get_logger()


def registration_options() -> JSON:
    """Return the options with which the caller's browser creates a passkey."""
    user = lock_user(current_caller.id)
    # A key without user verification can be a second factor, but not the only one.
    selection = AuthenticatorSelectionCriteria(
        resident_key=ResidentKeyRequirement.PREFERRED,
        user_verification=UserVerificationRequirement.PREFERRED,
    )
    options = webauthn.generate_registration_options(
        rp_id=_rp_id(),
        rp_name=current_app.config["TOKEN_ISSUER"],
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.name,
        challenge=_new_challenge(CREATE, user.id),
        authenticator_selection=selection,
        exclude_credentials=_descriptors(user.id),
    )
    # Whether the browser finds the passkey without the account (WebAuthn section 10.4).
    return {"options": options_to_json_dict(options) | {"extensions": {"credProps": True}}}


def register(name: str, credential: JSON) -> Any:
    """Return the row of a new passkey of the caller.

    Raises:
        Problem: 422, the credential is not valid; 409, it is registered already, or the caller has
            too many factors.
    """
    challenge = _consume_challenge(CREATE, credential, current_caller.id)
    settings, error = mfa_settings(), {"detail": "Not valid.", "pointer": "#/credential"}
    try:
        if challenge is None:
            raise ValueError
        verified = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=settings.rp_id,
            expected_origin=list(settings.origins),
        )
        properties = credential.get("clientExtensionResults", {}).get("credProps", {})
        is_discoverable = properties.get("rk") is not False
    except _INVALID as reason:
        log.info("passkey_refused", reason=type(reason).__name__)
        raise Problem("validation-error", errors=[error]) from reason
    user = lock_user(current_caller.id)
    factor = Factor(id=uuid7(), owner_id=user.id, kind=PASSKEY, name=name)
    factor.credential, factor.credential_id = (
        verified.credential_public_key,
        verified.credential_id,
    )
    factor.counter = verified.sign_count
    factor.logs_in_alone = verified.user_verified and is_discoverable
    repository.create_many([factor], FactorSchema())
    return activate(db.session.get_one(Factor, factor.id))


def login_options(mfa_token: str | None) -> JSON:
    """Return the options with which a browser answers with a passkey.

    Args:
        mfa_token: of an interrupted login; without it, any passkey that verifies its user may
            answer.

    Raises:
        Problem: 401, the token is not valid.
    """
    owner_id = read_mfa_token(mfa_token).user.id if mfa_token is not None else None
    needed = (
        UserVerificationRequirement.PREFERRED if owner_id else UserVerificationRequirement.REQUIRED
    )
    options = webauthn.generate_authentication_options(
        rp_id=_rp_id(),
        challenge=_new_challenge(GET, owner_id),
        allow_credentials=_descriptors(owner_id) if owner_id else [],
        user_verification=needed,
    )
    return {"options": options_to_json_dict(options)}


def log_in_with_passkey(credential: JSON, mfa_token: str | None = None) -> JSON:
    """Log in, or complete an interrupted login, and return the tokens.

    Raises:
        Problem: 401, the token or the credential is not valid; 429, too many attempts failed.
    """
    if mfa_token is None:
        return _log_in_without_password(credential)
    user, methods = read_mfa_token(mfa_token)
    failures = login_throttle.register_attempt(user.email)
    challenge = _consume_challenge(GET, credential, user.id)

    def prove() -> str | None:
        lock_user(user.id)
        return PASSKEY if _prove(challenge, credential, user.id, is_only_factor=False) else None

    return complete(user, methods, prove, failures)


def _log_in_without_password(credential: JSON) -> JSON:
    challenge, tokens = _consume_challenge(GET, credential, None), None
    user = _find_owner(credential)
    if user is not None:
        lock_user(user.id)
        if _prove(challenge, credential, user.id, is_only_factor=True):
            tokens = open_session(user, (PASSKEY,))
    if tokens is None:
        LOGINS.labels("failed").inc()
        log.warning("login_failed", user_id=user and str(user.id))
        raise unauthorized_problem("The passkey is not valid.")
    return tokens


def _credential_id(credential: JSON) -> bytes:
    try:
        return base64url_to_bytes(credential["rawId"])
    except _INVALID:
        return b""


def _find_owner(credential: JSON) -> Any:
    owner = select(*USER_COLUMNS).join(Factor, Factor.owner_id == User.id).where(User.is_active)
    return db.session.execute(
        owner.where(Factor.credential_id == _credential_id(credential))
    ).one_or_none()


def _prove(
    challenge: bytes | None, credential: JSON, owner_id: UUID, *, is_only_factor: bool
) -> bool:
    """Whether the credential is a valid answer of a passkey of the owner, who is locked."""
    condition = (Factor.credential_id == _credential_id(credential)) & (Factor.owner_id == owner_id)
    factor, settings = db.session.scalar(select(Factor).where(condition)), mfa_settings()
    if factor is None or challenge is None:
        return False
    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=settings.rp_id,
            expected_origin=list(settings.origins),
            credential_public_key=factor.credential,
            credential_current_sign_count=factor.counter,
            require_user_verification=is_only_factor,
        )
        handle = credential["response"].get("userHandle")
        if (handle or is_only_factor) and base64url_to_bytes(handle) != owner_id.bytes:
            raise ValueError
    except _INVALID as reason:  # also where the sign count says that the passkey was cloned
        log.warning("passkey_refused", factor_id=str(factor.id), reason=type(reason).__name__)
        return False
    values = {"counter": verified.new_sign_count, "last_used_at": now(), **same_version(Factor)}
    if is_only_factor:
        values["logs_in_alone"] = True
    db.session.execute(update(Factor.__table__).where(Factor.id == factor.id).values(values))  # type: ignore[arg-type]
    return True


def _rp_id() -> str:
    """Return the domain of the passkeys; 404 where the service has none."""
    if not mfa_settings().rp_id:
        raise Problem("not-found")
    return mfa_settings().rp_id


def _descriptors(owner_id: UUID) -> list[PublicKeyCredentialDescriptor]:
    ids = (factor.credential_id for factor in confirmed_factors(owner_id))
    return [PublicKeyCredentialDescriptor(id=each) for each in ids if each]


def _new_challenge(ceremony: bytes, owner_id: UUID | None) -> bytes:
    challenge = secrets.token_bytes(32)
    values = {"owner_id": owner_id, "expires_at": now() + LIFETIME}
    db.session.add(Challenge(hash=sha256_digest(ceremony + challenge), **values))
    return challenge


def _consume_challenge(ceremony: bytes, credential: JSON, owner_id: UUID | None) -> bytes | None:
    """Return the challenge that a credential answers, which is then deleted; None if invalid."""
    try:
        data = parse_client_data_json(base64url_to_bytes(credential["response"]["clientDataJSON"]))
    except _INVALID:
        return None
    pending = delete(Challenge).where(
        Challenge.hash == sha256_digest(ceremony + data.challenge),
        Challenge.owner_id.is_not_distinct_from(owner_id),
        Challenge.expires_at > now(),
    )
    # Committed whatever follows: a wrong answer uses it up as well.
    with db.engine.begin() as connection:
        found = connection.execute(pending.returning(Challenge.hash)).first()
    # A frame of another site is no page of ours (WebAuthn section 5.8.1).
    return data.challenge if found and not data.cross_origin else None


@periodic_task("passkey-challenges", interval=HOUR)
def purge_challenges() -> int:
    """Delete expired challenges; return their number."""
    return unaudited.delete_in_batches(Challenge, Challenge.expires_at <= now())


@periodic_task("unconfirmed-factors", interval=HOUR)
def purge_unconfirmed_factors() -> int:
    """Delete factors that were not confirmed within an hour; return their number."""
    is_old = Factor.confirmed_at.is_(None) & (Factor.created_at <= now() - timedelta(hours=1))
    return unaudited.delete_in_batches(Factor, is_old)

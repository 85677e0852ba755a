"""Changes of e-mail addresses, which the old and the new mailbox confirm.

Both get a token, as in `app.auth.email_tokens`. Of an account one change can be pending; another
request, a new password and the expiry cancel it.
docs/decisions.md#85-changes-of-e-mail-addresses
"""

from datetime import timedelta
from textwrap import fill
from uuid import UUID

from flask import current_app
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.exc import IntegrityError

from app.auth import accounts
from app.auth.email_tokens import (
    VERIFY,
    Purpose,
    invalid_email_token_problem,
    revoke_tokens,
    send_link,
    token_of_job,
)
from app.auth.models import EmailChange, Session
from app.auth.notices import EMAIL_CHANGED, notify
from app.core.background.backend import submit_job
from app.core.background.job_types import JobRun, job
from app.core.background.periodic import HOUR, periodic_task
from app.core.database.types import now
from app.core.mail import send_mail
from app.core.resources import repository, unaudited
from app.core.security.authorization import current_caller, invalid_token_problem
from app.core.web.problems import Problem
from app.extensions import db
from app.users.models import User
from app.users.passwords import sha256_digest
from app.users.schemas import UserSchema
from app.users.service import set_caller

_PAGE, _ROUTE = "/confirm-email-change", "/api/v1/auth/email/change/confirm"
OLD_ADDRESS = Purpose(
    "old_address", "VERIFY_TOKEN_MINUTES", _PAGE, _ROUTE,
    "Allow a new e-mail address",
    "The e-mail address of your account is to be changed to {email}. If you did not request it, do "
    "not open the link, and set a new password: somebody else has logged in. The address does not "
    "change unless both mailboxes confirm it.",
)  # fmt: skip
NEW_ADDRESS = Purpose(
    "new_address", "VERIFY_TOKEN_MINUTES", _PAGE, _ROUTE,
    "Confirm your new e-mail address",
    "This is to become the e-mail address of an account. If you did not request it, ignore this "
    "mail.",
)  # fmt: skip
_TAKEN = (
    "Somebody requested to make this the e-mail address of another account. It is the address of "
    "your account, and remains it: nothing was changed."
)
_USER_SCHEMA = UserSchema()


def request_change(email: str) -> None:
    """Mail a token to the caller's e-mail address and one to the new address.

    The response is the same for an address that another account has; its owner gets another mail.

    Raises:
        Problem: 422, it is the current address; 401, the session was revoked.
    """
    user = db.session.get(User, current_caller.id, with_for_update={"key_share": True})
    # A revocation of all sessions locks the user first, so no change is requested after it.
    if user is None or db.session.get(Session, current_caller.session_id) is None:
        raise invalid_token_problem()
    if email == user.email:
        error = {"detail": "This is the current e-mail address.", "pointer": "#/email"}
        raise Problem("validation-error", errors=[error])
    old, new = (submit_job("email-change", {}, owner_id=user.id) for _ in range(2))
    change = EmailChange(user_id=user.id, email=email)
    change.old_token_hash, change.new_token_hash = _hash_of_job(old), _hash_of_job(new)
    change.expires_at = now() + timedelta(minutes=current_app.config["VERIFY_TOKEN_MINUTES"])
    db.session.merge(change)  # replaces one that is pending


def _hash_of_job(job_id: UUID) -> bytes:
    return sha256_digest(token_of_job(job_id).encode())


@job("email-change", attempts=6)
def send_change_email(run: JobRun) -> None:
    """Mail the token of a change to the old or the new address, unless it was used or cancelled."""
    digest = _hash_of_job(run.id)
    change = db.session.scalar(select(EmailChange).where(_has_token(digest)))
    if change is None or change.expires_at <= now():
        return
    email, expires_at, is_new = change.email, change.expires_at, change.new_token_hash == digest
    current_address = db.session.scalar(select(User.email).where(User.id == change.user_id))
    is_taken = db.session.scalar(select(User.id).where(User.email == email)) is not None
    run.checkpoint()  # commits: a transaction must not wait for a mail server
    if is_new and is_taken:
        send_mail(email, "Your e-mail address", fill(_TAKEN) + "\n", name=str(run.id))
    elif is_new:
        send_link(run.id, NEW_ADDRESS, email, expires_at, NEW_ADDRESS.text)
    elif current_address:
        text = OLD_ADDRESS.text.format(email=email)
        send_link(run.id, OLD_ADDRESS, current_address, expires_at, text)


def confirm_change(token: str) -> None:
    """Use one of the two tokens of a change; the address is changed by the second one.

    Then all sessions, API keys and tokens from mails of the account are revoked.

    Raises:
        Problem: 401, the token is invalid, used or expired; 409, another account has the address
            by now.
    """
    digest = sha256_digest(token.encode())
    pending = _has_token(digest) & (EmailChange.expires_at > now())
    user_id = db.session.scalar(select(EmailChange.user_id).where(pending))
    # Locked before the change is read: both tokens may be used at the same time.
    user = db.session.get(User, user_id, with_for_update=True) if user_id else None
    change = db.session.scalar(select(EmailChange).where(pending))
    if user is None or not user.is_active or change is None:
        raise invalid_email_token_problem()
    set_caller(user)
    if change.old_token_hash == digest:
        change.old_token_hash = None
    else:
        change.new_token_hash = None
    if change.old_token_hash is None and change.new_token_hash is None:
        set_email(user, change.email, is_verified=True)


def set_email(user: User, email: str, *, is_verified: bool) -> None:
    """Change the e-mail address of a locked user, and revoke all credentials but the password.

    Raises:
        Problem: 409, another account has the address.
    """
    moment, old_address = now(), user.email
    values = {"email": email, "email_verified_at": moment if is_verified else None}
    try:
        repository.update_locked(User, user, values | {"updated_at": moment}, _USER_SCHEMA)
    except IntegrityError as error:
        raise Problem("conflict", "This e-mail address is already registered.") from error
    revoke_tokens(user.id, VERIFY)
    accounts.revoke_credentials(user)
    notify(EMAIL_CHANGED, user.id, to=old_address)


def _has_token(digest: bytes) -> ColumnElement[bool]:
    return or_(EmailChange.old_token_hash == digest, EmailChange.new_token_hash == digest)


@periodic_task("email-changes", interval=HOUR)
def purge_email_changes() -> int:
    """Delete expired changes; return their number."""
    return unaudited.delete_in_batches(EmailChange, EmailChange.expires_at <= now())

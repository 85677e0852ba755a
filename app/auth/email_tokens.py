"""Tokens sent by mail: whoever sends one back can read what is sent to the account's address.

A token has 256 unguessable bits, is kept as a hash, works once and for a short time. Its link
carries it in the fragment, which browsers keep out of requests, and so out of logs.
"""

import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from textwrap import fill
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from flask import current_app
from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    LargeBinary,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database.types import Timestamp, now
from app.core.mail import send_mail
from app.core.resources import repository
from app.core.security.authorization import unauthorized_problem
from app.extensions import Base, db
from app.jobs.periodic import HOUR, periodic_task
from app.jobs.runner import JobRun, create_job, job
from app.users.models import User
from app.users.passwords import sha256_digest

MAX_PENDING_TOKENS = (
    5  # tokens of a kind that an account has at a time: nobody's mailbox is flooded
)

log = structlog.get_logger()


class EmailToken(Base):
    """A token on its way."""

    __tablename__ = "email_tokens"
    __table_args__ = (CheckConstraint("purpose IN ('reset', 'verify')", name="purpose"),)

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


class Purpose(NamedTuple):
    """What a token is for, and the mail that brings it."""

    name: str
    lifetime: str  # the setting, in minutes
    page: str  # of the client application
    route: str
    subject: str
    text: str


RESET = Purpose(
    "reset", "RESET_TOKEN_MINUTES", "/reset-password", "/api/v1/auth/password/reset",
    "Set a new password",
    "Somebody, hopefully you, asked to set a new password for your account. If it was not you, "
    "there is nothing to do: your password stays as it is.",
)  # fmt: skip
VERIFY = Purpose(
    "verify", "VERIFY_TOKEN_MINUTES", "/verify-email", "/api/v1/auth/email/verify",
    "Confirm your e-mail address",
    "Somebody, hopefully you, registered an account with this e-mail address. If it was not you, "
    "there is nothing to do.",
)  # fmt: skip
PURPOSES = {purpose.name: purpose for purpose in (RESET, VERIFY)}
_EMAIL_TEXT = """\
{text}

Otherwise open this link before {expires_at:%Y-%m-%d %H:%M} UTC:

{link}

The part after "token=" is what {route} takes. It works once.
"""


def request_token_email(purpose: Purpose, *, owner_id: UUID | None = None, **whose: Any) -> None:
    """Have a new token mailed to a user, by `email` or `id`, if there is one who has use for it.

    A job looks, whoever it is: neither the answer nor its timing tells whether there is.
    """
    arguments = {"purpose": purpose.name, **{name: str(value) for name, value in whose.items()}}
    db.session.add(create_job("mail", arguments, owner_id=owner_id))


@job("mail", attempts=6)
def send_token_email(run: JobRun) -> None:
    """Mail a token. It is made of the job's id, so that a repetition mails the same one."""
    whose = dict(run.arguments)
    purpose = PURPOSES[whose.pop("purpose")]
    [(column, value)] = whose.items()
    which = User.email == value if column == "email" else User.id == UUID(value)
    user = db.session.scalar(select(User).where(which).with_for_update())
    if user is None or not user.is_active or (purpose is VERIFY and user.email_verified_at):
        return
    token = _token(run.id)
    mailed = db.session.get(EmailToken, sha256_digest(token.encode()))
    if mailed is None:
        if _count(user.id, purpose) >= MAX_PENDING_TOKENS:
            log.warning("mail_token_withheld", purpose=purpose.name, user_id=str(user.id))
            return
        expires_at = now() + timedelta(minutes=current_app.config[purpose.lifetime])
        about = {"purpose": purpose.name, "user_id": user.id, "expires_at": expires_at}
        mailed = EmailToken(hash=sha256_digest(token.encode()), **about)
        db.session.add(mailed)
    run.checkpoint()  # no mail is sent within a transaction
    link = f"{current_app.config['PUBLIC_URL'].rstrip('/')}{purpose.page}#token={token}"
    about = {"expires_at": mailed.expires_at, "link": link, "route": purpose.route}
    text = _EMAIL_TEXT.format(text=fill(purpose.text), **about)
    send_mail(user.email, purpose.subject, text, name=str(run.id))


def _token(job_id: UUID) -> str:
    secret = current_app.config["SECRET_KEY"].encode()
    raw = hmac.digest(secret, b"mailed token " + job_id.bytes, "sha256")
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _count(user_id: UUID, purpose: Purpose) -> int:
    """How many tokens of a kind are on their way to a user."""
    alike = select(func.count()).where(
        EmailToken.user_id == user_id,
        EmailToken.purpose == purpose.name,
        EmailToken.expires_at > now(),
    )
    return db.session.scalar(alike) or 0


@periodic_task("email-tokens", interval=HOUR)
def purge_email_tokens() -> int:
    """Delete the tokens that have expired."""
    return repository.delete_in_batches(EmailToken, EmailToken.expires_at <= now())


def consume_token(purpose: Purpose, token: str) -> User:
    """The user to whom the token was sent, locked; the token is used up, if this is committed.

    Raises:
        Problem: 401, the token is not, or no longer, valid.
    """
    sent = delete(EmailToken).where(
        EmailToken.hash == sha256_digest(token.encode()),
        EmailToken.purpose == purpose.name,
        EmailToken.expires_at > now(),
    )
    user_id = db.session.scalar(sent.returning(EmailToken.user_id))
    user = db.session.get(User, user_id, with_for_update=True) if user_id else None
    if user is None or not user.is_active:
        raise unauthorized_problem("The token is not, or no longer, valid.")
    return user


def revoke_reset_tokens(user_id: UUID) -> None:
    """Make a user's tokens for a new password worthless."""
    db.session.execute(
        delete(EmailToken).where(EmailToken.user_id == user_id, EmailToken.purpose == RESET.name)
    )

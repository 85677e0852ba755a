"""Tokens sent by mail: they prove that a client can read the mail of the account.

A token has 256 random bits, is stored as a hash, can be used once, and expires. It is in the
fragment of the link in the mail, which browsers do not send, so it is in no log.
docs/decisions.md#32-mail-after-the-response
"""

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
    Row,
    Text,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.auth.models import EmailChange
from app.core.background.backend import submit_job
from app.core.background.job_types import JobRun, job
from app.core.background.periodic import HOUR, periodic_task
from app.core.database import execute
from app.core.database.types import Timestamp, now
from app.core.mail import send_mail
from app.core.resources import unaudited
from app.core.security.authorization import unauthorized_problem
from app.core.security.signing import sign
from app.core.web.problems import Problem
from app.extensions import Base, db
from app.users.models import User
from app.users.passwords import sha256_digest
from app.users.service import set_caller

MAX_PENDING_TOKENS = 5  # of one purpose and account; bounds the mails to a mailbox

log = structlog.get_logger()


class EmailToken(Base):
    """A token that was mailed and has not been used."""

    __tablename__ = "email_tokens"
    __table_args__ = (CheckConstraint("purpose IN ('reset', 'verify')", name="purpose"),)

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    purpose: Mapped[str] = mapped_column(Text)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(Timestamp, index=True)


class Purpose(NamedTuple):
    """A purpose of tokens, and the mail in which they are sent."""

    name: str
    lifetime: str  # name of the setting, in minutes
    page: str  # path of the page in the client application
    route: str  # that accepts the token
    subject: str
    text: str


RESET = Purpose(
    "reset", "RESET_TOKEN_MINUTES", "/reset-password", "/api/v1/auth/password/reset",
    "Set a new password",
    "A new password was requested for your account. If you did not request it, ignore this mail: "
    "your password is unchanged.",
)  # fmt: skip
VERIFY = Purpose(
    "verify", "VERIFY_TOKEN_MINUTES", "/verify-email", "/api/v1/auth/email/verify",
    "Confirm your e-mail address",
    "An account was registered with this e-mail address. If you did not register, ignore this "
    "mail.",
)  # fmt: skip
PURPOSES = {purpose.name: purpose for purpose in (RESET, VERIFY)}
_EMAIL_TEXT = """\
{text}

Otherwise, open this link before {expires_at:%Y-%m-%d %H:%M} UTC:

{link}

The part after "token=" is the token for {route}. It can be used once.
"""


def request_token_email(
    purpose: Purpose, *, owner_id: UUID | None = None, **recipient: Any
) -> None:
    """Submit a job that mails a new token to the user with this `email` or `id`.

    The job looks the user up, so neither the response nor its timing reveals whether one exists.
    """
    arguments = {"purpose": purpose.name, **{k: str(value) for k, value in recipient.items()}}
    submit_job("mail", arguments, owner_id=owner_id)


@job("mail", attempts=6)
def send_token_email(run: JobRun) -> None:
    """Mail a token. It is derived from the id of the job, so a retry mails the same token."""
    recipient = dict(run.arguments)
    purpose = PURPOSES[recipient.pop("purpose")]
    [(column, value)] = recipient.items()
    condition = User.email == value if column == "email" else User.id == UUID(value)
    user = db.session.scalar(select(User).where(condition).with_for_update())
    if user is None or not user.is_active or (purpose is VERIFY and user.email_verified_at):
        return
    token = token_of_job(run.id)
    mailed = db.session.get(EmailToken, sha256_digest(token.encode()))
    if mailed is None:
        if _count_pending_tokens(user.id, purpose) >= MAX_PENDING_TOKENS:
            log.warning("mail_token_limit_reached", purpose=purpose.name, user_id=str(user.id))
            return
        expires_at = now() + timedelta(minutes=current_app.config[purpose.lifetime])
        values = {"purpose": purpose.name, "user_id": user.id, "expires_at": expires_at}
        mailed = EmailToken(hash=sha256_digest(token.encode()), **values)
        db.session.add(mailed)
    run.checkpoint()  # commits: a transaction must not wait for a mail server
    send_link(run.id, purpose, user.email, mailed.expires_at, purpose.text)


def send_link(job_id: UUID, purpose: Purpose, to: str, expires_at: datetime, text: str) -> None:
    """Mail a link with the token of a job. Call it outside of a transaction."""
    link = f"{current_app.config['PUBLIC_URL'].rstrip('/')}{purpose.page}#token="
    values = {"expires_at": expires_at, "link": link + token_of_job(job_id)}
    text = _EMAIL_TEXT.format(text=fill(text), route=purpose.route, **values)
    send_mail(to, purpose.subject, text, name=str(job_id))


def token_of_job(job_id: UUID) -> str:
    """Return the token that a job mails: 43 characters of URL-safe base64."""
    return urlsafe_b64encode(sign("email tokens", job_id.bytes)).rstrip(b"=").decode()


def _count_pending_tokens(user_id: UUID, purpose: Purpose) -> int:
    """Return how many tokens of one purpose a user has that have not expired."""
    pending = select(func.count()).where(
        EmailToken.user_id == user_id,
        EmailToken.purpose == purpose.name,
        EmailToken.expires_at > now(),
    )
    return db.session.scalar(pending) or 0


@periodic_task("email-tokens", interval=HOUR)
def purge_email_tokens() -> int:
    """Delete expired tokens; return their number."""
    return unaudited.delete_in_batches(EmailToken, EmailToken.expires_at <= now())


_SELECT_RECIPIENT = (
    select(User.id, User.email, User.name)
    .join(EmailToken, EmailToken.user_id == User.id)
    .where(EmailToken.hash == bindparam("hash"), EmailToken.purpose == bindparam("purpose"))
    .where(EmailToken.expires_at > bindparam("moment"), User.is_active)
)


def find_recipient(purpose: Purpose, token: str) -> Row[Any]:
    """Return id, e-mail address and name of the recipient of a token, which remains valid.

    Raises:
        Problem: 401, the token is invalid, used or expired.
    """
    values = {"hash": sha256_digest(token.encode()), "purpose": purpose.name, "moment": now()}
    rows = execute.fetch_autocommit(_SELECT_RECIPIENT, values)
    if not rows:
        raise invalid_email_token_problem()
    recipient: Row[Any] = rows[0]
    return recipient


def consume_token(purpose: Purpose, token: str) -> User:
    """Delete a token in the transaction and return its recipient, locked.

    Raises:
        Problem: 401, the token is invalid, used or expired.
    """
    statement = delete(EmailToken).where(
        EmailToken.hash == sha256_digest(token.encode()),
        EmailToken.purpose == purpose.name,
        EmailToken.expires_at > now(),
    )
    user_id = db.session.scalar(statement.returning(EmailToken.user_id))
    user = db.session.get(User, user_id, with_for_update=True) if user_id else None
    if user is None or not user.is_active:
        raise invalid_email_token_problem()
    set_caller(user)
    return user


def invalid_email_token_problem() -> Problem:
    """Return the 401 for every kind of invalid token from a mail."""
    return unauthorized_problem("The token is invalid, used or expired.")


def revoke_tokens(user_id: UUID, *purposes: Purpose) -> None:
    """Delete the tokens of a user for these purposes, and those of a pending change of address."""
    names = [purpose.name for purpose in purposes]
    db.session.execute(delete(EmailChange).where(EmailChange.user_id == user_id))
    db.session.execute(
        delete(EmailToken).where(EmailToken.user_id == user_id, EmailToken.purpose.in_(names))
    )

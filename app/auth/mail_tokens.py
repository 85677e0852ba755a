"""Tokens sent by mail: whoever sends one back can read what is sent to the account's address.

A token has 256 random bits, is kept as a hash, works once and for a short time. Its link carries it
in the fragment, which browsers keep out of requests, and so out of logs.
"""

import secrets
from datetime import datetime, timedelta
from textwrap import fill
from typing import NamedTuple
from uuid import UUID

import structlog
from flask import current_app
from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    LargeBinary,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.auth.passwords import hash_secret
from app.extensions import db
from app.kit.access import unauthorized
from app.kit.mail import send_mail
from app.kit.model import Base, Timestamp, now
from app.users.models import User

MOST = 5  # tokens of a kind that an account has at a time: nobody's mailbox is flooded

log = structlog.get_logger()


class MailToken(Base):
    """A token on its way."""

    __tablename__ = "mail_tokens"
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
_MAIL = """\
{text}

Otherwise open this link before {expires_at:%Y-%m-%d %H:%M} UTC:

{link}

The part after "token=" is what {route} takes. It works once.
"""


def mail_token(purpose: Purpose, whose: ColumnElement[bool]) -> None:
    """Mail a new token to a user's address, if there is such a user, who has use for one.

    Work for `afterwards`: nobody is told whether there is.
    """
    user = db.session.scalar(select(User).where(whose).with_for_update())
    moment = now()
    db.session.execute(delete(MailToken).where(MailToken.expires_at <= moment))
    if user is None or not user.is_active or (purpose is VERIFY and user.email_verified_at):
        return
    alike = select(func.count()).where(
        MailToken.user_id == user.id, MailToken.purpose == purpose.name
    )
    if (db.session.scalar(alike) or 0) >= MOST:
        log.warning("mail_token_withheld", purpose=purpose.name, user_id=str(user.id))
        return
    token = secrets.token_urlsafe(32)
    expires_at = moment + timedelta(minutes=current_app.config[purpose.lifetime])
    about = {"purpose": purpose.name, "user_id": user.id, "expires_at": expires_at}
    db.session.add(MailToken(hash=hash_secret(token.encode()), **about))
    db.session.commit()
    link = f"{current_app.config['PUBLIC_URL'].rstrip('/')}{purpose.page}#token={token}"
    about = {"expires_at": expires_at, "link": link, "route": purpose.route}
    send_mail(user.email, purpose.subject, _MAIL.format(text=fill(purpose.text), **about))


def redeem(purpose: Purpose, token: str) -> User:
    """The user to whom the token was sent, locked; the token is used up, if this is committed.

    Raises:
        Problem: 401, the token is not, or no longer, valid.
    """
    sent = delete(MailToken).where(
        MailToken.hash == hash_secret(token.encode()),
        MailToken.purpose == purpose.name,
        MailToken.expires_at > now(),
    )
    user_id = db.session.scalar(sent.returning(MailToken.user_id))
    user = db.session.get(User, user_id, with_for_update=True) if user_id else None
    if user is None or not user.is_active:
        raise unauthorized("The token is not, or no longer, valid.")
    return user


def withdraw(user_id: UUID) -> None:
    """Make a user's tokens for a new password worthless."""
    db.session.execute(
        delete(MailToken).where(MailToken.user_id == user_id, MailToken.purpose == RESET.name)
    )

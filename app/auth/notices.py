"""Mails to the owner of an account about changes of its credentials and about logins.

A feature that changes credentials declares a `Notice` and calls `notify` in the transaction of the
change. At most `MAX_PER_HOUR` are mailed for one account: docs/decisions.md#87-notices
"""

from datetime import timedelta
from textwrap import fill
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy import select

from app.core.background.backend import submit_job
from app.core.background.job_types import JobError, JobRun, job
from app.core.database.types import now
from app.core.mail import send_mail
from app.core.resources.audit_log import current_audit_context
from app.extensions import db
from app.users.models import User

MAX_PER_HOUR = 10  # of one account

log = structlog.get_logger()

_ADVICE = (
    "If it was not you, request a new password by mail: that ends all sessions and revokes all API "
    "keys."
)
_LAST = "More notices within this hour are not mailed."


class Notice(NamedTuple):
    """What is mailed about one kind of event. Nothing in it comes from a client."""

    name: str
    subject: str
    text: str


_notices: dict[str, Notice] = {}


def declare(name: str, subject: str, text: str) -> Notice:
    """Return a new kind of notice; call it when the module is imported.

    Args:
        name: unique; it is stored with the job.
        text: one paragraph.
    """
    _notices[name] = Notice(name, subject, text)
    return _notices[name]


PASSWORD_CHANGED = declare(
    "password-changed", "Your password was changed", "The password of your account was changed."
)
EMAIL_CHANGED = declare(
    "email-changed",
    "Your e-mail address was changed",
    "Your account has another e-mail address now. This one is no longer used.",
)
API_KEY_CREATED = declare(
    "api-key-created", "A new API key", "An API key was created for your account."
)
NEW_DEVICE = declare(
    "new-device", "A login from a new device", "Your account was logged in to from a new device."
)
SUSPICIOUS_LOGIN = declare(
    "suspicious-login",
    "A login after failed attempts",
    "Your account was logged in to after many attempts with a wrong password.",
)


def notify(notice: Notice, user_id: UUID | None, *, to: str | None = None) -> None:
    """Mail a notice to the owner of an account, once the transaction is committed.

    Args:
        to: another address than the current one of the account.
    """
    log.info("owner_notified", notice=notice.name, user_id=str(user_id))
    arguments = {"notice": notice.name, "moment": f"{now():%Y-%m-%d %H:%M} UTC"}
    arguments |= {"address": current_audit_context().ip_address or "unknown"}
    submit_job("notice", arguments | ({"to": to} if to else {}), owner_id=user_id)


@job("notice", attempts=6)
def send_notice(run: JobRun) -> None:
    """Mail a notice, unless its account has had too many within the hour."""
    notice = _notices[run.arguments["notice"]]
    # Those that were not mailed have failed, so they do not count.
    count = run.count_earlier(now() - timedelta(hours=1))
    if count >= MAX_PER_HOUR:
        raise JobError("The account has had too many notices within the hour.")
    owner = select(User.email).where(User.id == run.owner_id)
    to: str = run.arguments.get("to") or db.session.scalars(owner).one()
    run.checkpoint()  # commits: a transaction must not wait for a mail server
    event = "Time: {moment}\nIP address: {address}".format(**run.arguments)
    paragraphs = [fill(notice.text), event, fill(_ADVICE)]
    paragraphs += [_LAST] if count == MAX_PER_HOUR - 1 else []
    send_mail(to, notice.subject, "\n\n".join(paragraphs) + "\n", name=str(run.id))

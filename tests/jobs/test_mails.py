"""Mails as jobs: sent again after a failure, with the same content."""

import io
import json

from app.auth.email_tokens import EmailToken
from app.core.database.types import now
from app.jobs.models import Job
from app.jobs.runner import requeue_stale_jobs, run_job
from tests import rows
from tests.auth.mailing import ADA, Mailing
from tests.core.test_mail import mailbox as mailbox
from tests.core.test_mail import mailing as mailing
from tests.core.test_mail import mailing_and_logging as mailing_and_logging
from tests.mail_server import Mailbox


def test_refused_mail_is_logged_without_address_and_sent_again(
    mailing_and_logging: Mailing, mailbox: Mailbox, output: io.StringIO
) -> None:
    mailbox.refusal = f"450 <{ADA['email']}> is busy"
    mailing_and_logging.register()
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    [failed] = [line for line in lines if line["event"] == "job_attempt_failed"]
    assert failed["exception"].endswith("MailError: SMTPRecipientsRefused")
    assert ADA["email"] not in output.getvalue()

    mailbox.refusal = ""
    app = mailing_and_logging.app
    [job_id] = rows.read(app, Job.id, type="mail")
    rows.change(app, Job, job_id, retry_at=now())
    with app.app_context():
        requeue_stale_jobs()
    app.extensions["jobs"].drain()
    assert len(mailbox.messages) == 1
    assert mailbox.messages[0]["Message-ID"] == f"<{job_id}@localhost>"
    mailing_and_logging.verify(mailbox.token, status=204)


def test_repeated_mail_has_the_same_message_id_and_content(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    """A job is repeated when its worker dies between sending and recording it."""
    mailing.register()
    [job] = rows.read(mailing.app, Job.id, type="mail")
    arguments = {"purpose": "verify", "email": ADA["email"]}
    again = {"state": "queued", "finished_at": None, "arguments": arguments}
    rows.change(mailing.app, Job, job, **again)
    with mailing.app.app_context():
        run_job(job)

    first, second = mailbox.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_content() == second.get_content()
    assert rows.count(mailing.app, EmailToken) == 1

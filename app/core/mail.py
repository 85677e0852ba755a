"""Mail over SMTP; it is written to the log where no server is configured."""

import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import SplitResult, unquote, urlsplit

import structlog
from flask import current_app

TIMEOUT = 10  # seconds, for each step of the conversation

log = structlog.get_logger()


class MailError(Exception):
    """No server accepted the mail. The message can be logged: it does not contain the address."""


def send_mail(to: str, subject: str, text: str, *, name: str) -> None:
    """Send one mail. Call it outside of a transaction: a mail server may take minutes.

    Args:
        name: unique to this mail; its `Message-ID`, by which a repetition is recognised.

    Raises:
        MailError: no server accepted it.
    """
    url, sender = current_app.config["SMTP_URL"], current_app.config["MAIL_FROM"]
    if not url:
        log.info("mail", to=to, subject=subject, text=text)
        return
    user, _, domain = to.rpartition("@")
    recipient = Address(username=user, domain=domain)  # quoted, so that it stays one address
    message = EmailMessage()
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{name}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    message.set_content(text)
    parts = urlsplit(url)
    try:
        with _connect(parts) as server:
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message, to_addrs=[recipient.addr_spec])
    except (OSError, smtplib.SMTPException) as error:
        code = getattr(error, "smtp_code", "")
        raise MailError(f"{type(error).__name__} {code}".strip()) from None


def _connect(parts: SplitResult) -> smtplib.SMTP:
    """A connection by smtp:// in clear, or with TLS by smtps:// or smtp+starttls://."""
    host = parts.hostname or ""
    if parts.scheme == "smtp":
        return smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT)
    context = ssl.create_default_context()  # reads all certificates of the system
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT)
    try:
        server.starttls(context=context)  # raises if the server does not offer it
    except BaseException:
        server.close()
        raise
    return server

"""Mails of registrations, confirmed addresses, and the lifetime of e-mail tokens."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.auth.email_tokens import EmailToken
from app.core.database.types import now
from app.extensions import db
from app.users.models import User
from tests import rows
from tests.api import Caller, error_locations
from tests.auth.login import log_in
from tests.auth.mailing import ADA, Mailing
from tests.conftest import MakeApp
from tests.mail_server import Mailbox


def expire_tokens(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(EmailToken).values(expires_at=now()))
        db.session.commit()


def test_registration_mails_a_token_that_confirms_the_address(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    ada = mailing.register()
    before = mailing.get("users/me", by=ada, status=200)
    assert before.json["email_verified_at"] is None
    mailing.verify(mailbox.token, status=204)
    after = mailing.get("users/me", by=mailing.sign_in(ada), status=200)
    verified_at = datetime.fromisoformat(after.json["email_verified_at"])
    assert now() - timedelta(minutes=1) < verified_at <= now()
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.json["updated_at"] == after.json["email_verified_at"]


def test_mail_of_a_registration_has_one_recipient_and_no_text_of_the_user(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    mailing.register()
    [message] = mailbox.messages
    assert mailbox.recipients == [["<ada@example.com>"]]
    assert message["To"] == "ada@example.com"
    assert message["From"] == mailing.app.config["MAIL_FROM"]
    assert message["Subject"] == "Confirm your e-mail address"
    assert {"Date", "Message-ID", "Auto-Submitted"} <= set(message.keys())
    assert f"https://app.example.com/verify-email#token={mailbox.token}\n" in mailbox.text
    assert "Lovelace" not in mailbox.text


def test_registration_is_committed_before_its_mail_is_sent(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    seen: list[int] = []
    mailbox.on_message = lambda: seen.extend(
        rows.count(mailing.app, model) for model in (User, EmailToken)
    )
    mailing.register()
    assert seen == [1, 1]


def test_failed_registration_mails_nothing(mailing: Mailing, mailbox: Mailbox) -> None:
    mailing.register()
    mailing.post("users", ADA, status=409)
    mailing.post("users", ADA | {"email": "bob@example.com", "password": "short"}, status=422)
    assert len(mailbox.messages) == 1


def test_retried_registration_mails_once(mailing: Mailing, mailbox: Mailbox) -> None:
    for _ in range(2):
        mailing.post("users", ADA, headers={"Idempotency-Key": "once"}, status=201)
    assert len(mailbox.messages) == 1


def test_login_works_before_the_address_is_confirmed(mailing: Mailing) -> None:
    mailing.register()
    log_in(mailing, ADA["email"], status=200)


@pytest.mark.parametrize("user", ["ä", "a+b", "o'neill", "a=b", "first.last", "{a|b}"])
def test_address_with_special_characters_is_the_only_recipient(
    mailing: Mailing, mailbox: Mailbox, user: str
) -> None:
    mailing.post("users", ADA | {"email": f"{user}@example.com"}, status=201)
    assert mailbox.recipients == [[f"<{user}@example.com>"]]


@pytest.mark.parametrize("user", ["a,b", "a>b", '"a', "a(b)", "a@b", "a..b", ".a", "a b"])
def test_ambiguous_address_is_422_and_mails_nothing(
    mailing: Mailing, mailbox: Mailbox, user: str
) -> None:
    refused = mailing.post("users", ADA | {"email": f"{user}@example.com"}, status=422)
    assert error_locations(refused) == {"#/email"}
    assert mailbox.recipients == []


def test_client_cannot_set_email_verified_at(mailing: Mailing) -> None:
    claim = {"email_verified_at": "2026-01-01T00:00:00Z"}
    assert error_locations(mailing.post("users", ADA | claim, status=422)) == {
        "#/email_verified_at"
    }
    ada = mailing.register()
    mailing.patch("users/me", claim, by=ada, status=422)
    assert mailing.get("users/me", by=ada).json["email_verified_at"] is None


def test_resend_mails_a_token_that_confirms_the_address(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.post("auth/email/resend", by=user, status=202)
    assert mailbox.recipients == [[f"<{user.email}>"]]
    mailing.verify(mailbox.token, status=204)


def test_resend_keeps_the_first_token_valid(mailing: Mailing, mailbox: Mailbox) -> None:
    ada = mailing.register()
    first = mailbox.token
    mailing.post("auth/email/resend", by=ada, status=202)
    mailing.verify(first, status=204)


def test_resend_mails_nothing_for_a_confirmed_address(mailing: Mailing, mailbox: Mailbox) -> None:
    ada = mailing.register()
    mailing.verify(mailbox.token, status=204)
    mailing.post("auth/email/resend", by=mailing.sign_in(ada), status=202)
    assert len(mailbox.messages) == 1


def test_email_token_is_stored_as_a_hash(mailing: Mailing, mailbox: Mailbox, user: Caller) -> None:
    mailing.forgot(user.email, status=202)
    assert len(mailbox.token) == 43  # 256 bits
    with mailing.app.app_context():
        [row] = db.session.execute(select(EmailToken.__table__)).all()
    assert mailbox.token not in str(row)
    assert mailbox.token.encode() not in row.hash


def test_verify_token_works_once_and_expires(mailing: Mailing, mailbox: Mailbox) -> None:
    ada = mailing.register()
    first = mailbox.token
    mailing.post("auth/email/resend", by=ada, status=202)
    mailing.verify(first, status=204)
    mailing.verify(first, status=401)
    expire_tokens(mailing.app)
    mailing.verify(mailbox.token, status=401)


def test_email_tokens_expire_as_configured(
    make_app: MakeApp, mailbox: Mailbox, user: Caller
) -> None:
    api = Mailing(make_app(smtp_url=mailbox.url, reset_token_minutes=7, verify_token_minutes=90))
    api.forgot(user.email, status=202)
    api.post("auth/email/resend", by=user, status=202)
    for purpose, minutes in (("reset", 7), ("verify", 90)):
        [expires_at] = rows.read(api.app, EmailToken.expires_at, purpose=purpose)
        left = expires_at - now()
        assert timedelta(minutes=minutes - 1) < left <= timedelta(minutes=minutes)
    assert f"{expires_at:%Y-%m-%d %H:%M} UTC" in mailbox.text


def test_email_tokens_are_deleted_with_the_account(mailing: Mailing, user: Caller) -> None:
    mailing.forgot(user.email, status=202)
    mailing.delete("users/me", by=user, status=204)
    assert rows.count(mailing.app, EmailToken) == 0

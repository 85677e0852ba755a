"""E-mail tokens: confirmed addresses and password resets."""

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from app.auth.email_tokens import EmailToken, purge_email_tokens
from app.auth.models import Session
from app.core.database.types import now
from app.extensions import db
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Caller, answer_of, places
from tests.auth.login import log_in
from tests.auth.mailing import ADA, NEW_PASSWORD, Mailing
from tests.conftest import MakeApp, statements
from tests.mail_server import Mailbox, receive


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """The mailbox of a running mail server."""
    with receive() as box:
        yield box


@pytest.fixture
def mailing(make_app: MakeApp, mailbox: Mailbox) -> Mailing:
    return Mailing(make_app(smtp_url=mailbox.url, public_url="https://app.example.com/"))


def let_them_expire(app: Flask) -> None:
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

    after = mailing.get("users/me", by=ada, status=200)
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
    mailbox.when_given = lambda: seen.extend(
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

    assert places(refused) == {"#/email"}
    assert mailbox.recipients == []


def test_client_cannot_set_email_verified_at(mailing: Mailing) -> None:
    claim = {"email_verified_at": "2026-01-01T00:00:00Z"}
    assert places(mailing.post("users", ADA | claim, status=422)) == {"#/email_verified_at"}

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
    mailing.post("auth/email/resend", by=ada, status=202)

    assert len(mailbox.messages) == 1


def test_password_reset_request_does_not_reveal_whether_account_exists(
    mailing: Mailing, mailbox: Mailbox, user: Caller, other: Caller
) -> None:
    rows.change(mailing.app, User, other.id, is_active=False)
    emails = [user.email, "nobody@example.com", other.email]
    answers = [mailing.forgot(email, status=202) for email in emails]

    responses = [
        (a.data, sorted((k, v) for k, v in a.headers if k not in ("X-Request-ID", "RateLimit")))
        for a in answers
    ]
    assert responses == [responses[0]] * 3
    assert answers[0].data == b""
    assert mailbox.recipients == [[f"<{user.email}>"]]


def test_password_reset_request_reads_the_account_after_the_response(
    mailing: Mailing, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job reads the account, so the response time does not reveal it."""
    monkeypatch.setattr(mailing.app.extensions["jobs"], "send", lambda job_id: None)
    with statements(mailing.app) as sent:
        mailing.forgot(user.email, status=202)
        known = list(sent)
        mailing.forgot("nobody@example.com", status=202)

    assert sent == known * 2
    assert "INSERT INTO jobs" in str(known)
    assert "users" not in str(known)


def test_password_reset_request_ignores_the_case_of_the_address(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email.upper(), status=202)

    assert len(mailbox.messages) == 1


def test_password_reset_mail_has_a_link_and_instructions(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)

    assert mailbox.messages[0]["Subject"] == "Set a new password"
    assert f"https://app.example.com/reset-password#token={mailbox.token}\n" in mailbox.text
    assert "/api/v1/auth/password/reset" in mailbox.text


def test_email_token_is_stored_as_a_hash(mailing: Mailing, mailbox: Mailbox, user: Caller) -> None:
    mailing.forgot(user.email, status=202)

    assert len(mailbox.token) == 43  # 256 bits
    with mailing.app.app_context():
        [row] = db.session.execute(select(EmailToken.__table__)).all()
    assert mailbox.token not in str(row)
    assert mailbox.token.encode() not in row.hash


def test_pending_reset_mails_of_an_account_are_bounded(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    for _ in range(8):
        mailing.forgot(user.email, status=202)

    assert len(mailbox.messages) == 5
    let_them_expire(mailing.app)
    mailing.forgot(user.email, status=202)
    assert len(mailbox.messages) == 6
    with mailing.app.app_context():
        assert purge_email_tokens() == 5
    assert rows.count(mailing.app, EmailToken) == 1


def test_password_reset_requests_have_a_rate_limit_by_address(make_app: MakeApp) -> None:
    api = Mailing(make_app(mail_rate_limit="2 per hour"))
    for status in (202, 202, 429):
        api.forgot("nobody@example.com", status=status)


class TestPasswordReset:
    @pytest.fixture
    def token(self, mailing: Mailing, mailbox: Mailbox, user: Caller) -> str:
        mailing.forgot(user.email, status=202)
        return mailbox.token

    def test_password_reset_replaces_the_password(
        self, mailing: Mailing, user: Caller, token: str
    ) -> None:
        assert mailing.reset(token, status=204).data == b""

        log_in(mailing, user.email, PASSWORD, status=401)
        log_in(mailing, user.email, NEW_PASSWORD, status=200)

    def test_password_reset_ends_all_sessions_at_once(
        self, mailing: Mailing, user: Caller, token: str
    ) -> None:
        tokens = log_in(mailing, user.email, status=200).json

        mailing.reset(token, status=204)

        mailing.get("users/me", by=user, status=401)
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        mailing.get("users/me", headers=bearer, status=401)
        mailing.post("auth/refresh", {"refresh_token": tokens["refresh_token"]}, status=401)
        assert rows.count(mailing.app, Session, owner_id=user.id) == 0

    def test_password_reset_confirms_the_address(
        self, mailing: Mailing, user: Caller, token: str
    ) -> None:
        mailing.reset(token, status=204)

        assert rows.read(mailing.app, User.email_verified_at, id=user.id) != [None]

    def test_password_reset_does_not_affect_other_users(
        self, mailing: Mailing, other: Caller, user: Caller, token: str
    ) -> None:
        mailing.reset(token, status=204)

        mailing.get("users/me", by=other, status=200)
        log_in(mailing, other.email, PASSWORD, status=200)

    def test_reset_token_works_once(self, mailing: Mailing, user: Caller, token: str) -> None:
        mailing.reset(token, status=204)
        mailing.reset(token, "yet another long password", status=401)

        log_in(mailing, user.email, NEW_PASSWORD, status=200)

    def test_two_parallel_resets_with_one_token_succeed_once(
        self, mailing: Mailing, user: Caller, token: str
    ) -> None:
        account = select(User).where(User.id == user.id)
        passwords = [f"{NEW_PASSWORD} {n}" for n in (1, 2)]
        answers = rows.held_up(
            mailing.app,
            account,
            lambda: mailing.reset(token, passwords[0]),
            lambda: mailing.reset(token, passwords[1]),
        )

        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses) == [204, 401]
        log_in(mailing, user.email, passwords[statuses.index(204)], status=200)

    def test_password_reset_revokes_other_reset_tokens(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller, token: str
    ) -> None:
        mailing.forgot(user.email, status=202)
        mailing.reset(mailbox.token, status=204)

        mailing.reset(token, status=401)

    def test_reset_with_a_refused_password_keeps_the_token_valid(
        self, mailing: Mailing, user: Caller, token: str
    ) -> None:
        for poor in ("short", "passwordpassword", user.email):
            assert places(mailing.reset(token, poor, status=422)) == {"#/new_password"}

        mailing.get("users/me", by=user, status=200)
        mailing.reset(token, status=204)

    def test_invalid_reset_tokens_have_one_response(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller, other: Caller, token: str
    ) -> None:
        mailing.post("auth/email/resend", by=user, status=202)
        for_another_purpose = mailbox.token
        mailing.forgot(other.email, status=202)
        of_a_disabled_account = mailbox.token
        rows.change(mailing.app, User, other.id, is_active=False)
        wrong = ["x", "ключ", "A" * 43, token + "A", for_another_purpose, of_a_disabled_account]
        answers = [answer_of(mailing.reset(each, status=401)) for each in wrong]
        let_them_expire(mailing.app)
        answers.append(answer_of(mailing.reset(token, status=401)))

        assert answers == [answers[0]] * 7
        assert answers[0][2] == 'Bearer realm="api"'
        mailing.get("users/me", by=user, status=200)

    @pytest.mark.parametrize("token_sent", ["", None, 7, "x" * 201])
    def test_malformed_email_token_is_422(self, mailing: Mailing, token_sent: Any) -> None:
        assert places(mailing.reset(token_sent, status=422)) == {"#/token"}
        assert places(mailing.verify(token_sent, status=422)) == {"#/token"}


def test_reset_token_does_not_confirm_an_address(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)
    mailing.verify(mailbox.token, status=401)


def test_verify_token_works_once_and_expires(mailing: Mailing, mailbox: Mailbox) -> None:
    ada = mailing.register()
    first = mailbox.token
    mailing.post("auth/email/resend", by=ada, status=202)
    mailing.verify(first, status=204)
    mailing.verify(first, status=401)
    let_them_expire(mailing.app)
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


def test_password_change_revokes_reset_tokens(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    mailing.put("users/me/password", body, by=user, status=204)
    mailing.reset(mailbox.token, "yet another long password", status=401)


def test_email_tokens_are_deleted_with_the_account(mailing: Mailing, user: Caller) -> None:
    mailing.forgot(user.email, status=202)
    mailing.delete("users/me", by=user, status=204)
    assert rows.count(mailing.app, EmailToken) == 0


@pytest.fixture
def output() -> io.StringIO:
    """What the application writes to its standard output."""
    return io.StringIO()


@pytest.fixture
def mailing_and_logging(make_app: MakeApp, output: io.StringIO, mailbox: Mailbox) -> Mailing:
    with redirect_stdout(output):
        return Mailing(make_app(smtp_url=mailbox.url, log_level="DEBUG"))


def test_mailed_tokens_and_addresses_are_not_logged(
    mailing_and_logging: Mailing, mailbox: Mailbox, output: io.StringIO
) -> None:
    api = mailing_and_logging
    api.register()
    tokens = [mailbox.token]
    api.forgot(ADA["email"], status=202)
    tokens.append(mailbox.token)
    api.verify(tokens[0], status=204)
    api.reset(tokens[1], status=204)
    api.reset(tokens[1], status=401)
    assert '"request"' in output.getvalue()
    for secret in (*tokens, ADA["email"], NEW_PASSWORD):
        assert secret not in output.getvalue()

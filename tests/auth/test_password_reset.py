"""Password resets by e-mail."""

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
from tests.api import PASSWORD, Caller, comparable_response, error_locations
from tests.auth.login import log_in
from tests.auth.mailing import NEW_PASSWORD, Mailing
from tests.conftest import MakeApp, statements
from tests.mail_server import Mailbox


def expire_tokens(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(EmailToken).values(expires_at=now()))
        db.session.commit()


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
    # begin jobs
    assert "INSERT INTO jobs" in str(known)
    # end jobs
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


def test_pending_reset_mails_of_an_account_are_bounded(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    for _ in range(8):
        mailing.forgot(user.email, status=202)
    assert len(mailbox.messages) == 5
    expire_tokens(mailing.app)
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
        answers = rows.blocked_by_lock(
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
            assert error_locations(mailing.reset(token, poor, status=422)) == {"#/new_password"}
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
        answers = [comparable_response(mailing.reset(each, status=401)) for each in wrong]
        expire_tokens(mailing.app)
        answers.append(comparable_response(mailing.reset(token, status=401)))

        assert answers == [answers[0]] * 7
        assert answers[0][2] == 'Bearer realm="api"'
        mailing.get("users/me", by=user, status=200)

    @pytest.mark.parametrize("token_sent", ["", None, 7, "x" * 201])
    def test_malformed_email_token_is_422(self, mailing: Mailing, token_sent: Any) -> None:
        assert error_locations(mailing.reset(token_sent, status=422)) == {"#/token"}
        assert error_locations(mailing.verify(token_sent, status=422)) == {"#/token"}


def test_reset_token_does_not_confirm_an_address(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)
    mailing.verify(mailbox.token, status=401)


def test_password_change_revokes_reset_tokens(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    mailing.put("users/me/password", body, by=user, status=204)
    mailing.reset(mailbox.token, "yet another long password", status=401)

"""Mail: addresses are confirmed and passwords recovered by what is sent, and nobody learns more."""

import io
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from app.auth.email_tokens import EmailToken, purge_email_tokens
from app.auth.models import Session
from app.core.database.types import now
from app.extensions import db
from app.jobs.models import Job
from app.jobs.runner import requeue_stale_jobs, run_job
from app.users.models import User
from tests import rows
from tests.api import PASSWORD, Api, Caller, places
from tests.auth.test_auth import answer_of, log_in
from tests.conftest import MakeApp, on_sqlite, statements
from tests.live import serve
from tests.mail_server import Mailbox, receive

NEW_PASSWORD = "a wholly unguessed phrase"
ADA = {"email": "ada@example.com", "name": "Ada Lovelace", "password": PASSWORD}


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """The mailbox of everybody."""
    with receive() as box:
        yield box


class Mailing(Api):
    """An application that mails."""

    def register(self) -> Caller:
        """Ada, who has just registered."""
        account = self.post("users", ADA, status=201).json
        return self.sign_in(Caller(UUID(account["id"]), ADA["email"], "user", {}))

    def forgot(self, email: str, **kwargs: Any) -> TestResponse:
        return self.post("auth/password/forgot", {"email": email}, **kwargs)

    def reset(self, token: str, password: str = NEW_PASSWORD, **kwargs: Any) -> TestResponse:
        body = {"token": token, "new_password": password}
        return self.post("auth/password/reset", body, **kwargs)

    def verify(self, token: str, **kwargs: Any) -> TestResponse:
        return self.post("auth/email/verify", {"token": token}, **kwargs)


@pytest.fixture
def mailing(make_app: MakeApp, mailbox: Mailbox) -> Mailing:
    return Mailing(make_app(smtp_url=mailbox.url, public_url="https://app.example.com/"))


def let_them_expire(app: Flask) -> None:
    with app.app_context():
        db.session.execute(update(EmailToken).values(expires_at=now()))
        db.session.commit()


# --- confirming an address -------------------------------------------------------------------


class TestRegistering:
    def test_mails_a_token_that_confirms_the_address(
        self, mailing: Mailing, mailbox: Mailbox
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

    def test_mails_to_the_address_alone_and_says_nothing_that_others_wrote(
        self, mailing: Mailing, mailbox: Mailbox
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

    def test_is_committed_before_the_mail_is_sent(self, mailing: Mailing, mailbox: Mailbox) -> None:
        seen: list[int] = []
        mailbox.when_given = lambda: seen.extend(
            rows.count(mailing.app, model) for model in (User, EmailToken)
        )
        mailing.register()

        assert seen == [1, 1]

    def test_that_fails_mails_nothing(self, mailing: Mailing, mailbox: Mailbox) -> None:
        mailing.register()
        mailing.post("users", ADA, status=409)
        mailing.post("users", ADA | {"email": "bob@example.com", "password": "short"}, status=422)

        assert len(mailbox.messages) == 1

    def test_that_is_retried_mails_once(self, mailing: Mailing, mailbox: Mailbox) -> None:
        for _ in range(2):
            mailing.post("users", ADA, headers={"Idempotency-Key": "once"}, status=201)

        assert len(mailbox.messages) == 1

    def test_lets_one_log_in_before_the_address_is_confirmed(self, mailing: Mailing) -> None:
        mailing.register()

        log_in(mailing, ADA["email"], status=200)

    @pytest.mark.parametrize("user", ["ä", "a+b", "o'neill", "a=b", "first.last", "{a|b}"])
    def test_with_an_odd_address_mails_to_that_one(
        self, mailing: Mailing, mailbox: Mailbox, user: str
    ) -> None:
        mailing.post("users", ADA | {"email": f"{user}@example.com"}, status=201)

        assert mailbox.recipients == [[f"<{user}@example.com>"]]

    @pytest.mark.parametrize("user", ["a,b", "a>b", '"a', "a(b)", "a@b", "a..b", ".a", "a b"])
    def test_with_an_address_that_could_be_two_mails_nothing(
        self, mailing: Mailing, mailbox: Mailbox, user: str
    ) -> None:
        refused = mailing.post("users", ADA | {"email": f"{user}@example.com"}, status=422)

        assert places(refused) == {"#/email"}
        assert mailbox.recipients == []

    def test_cannot_say_that_the_address_is_confirmed(self, mailing: Mailing) -> None:
        claim = {"email_verified_at": "2026-01-01T00:00:00Z"}
        assert places(mailing.post("users", ADA | claim, status=422)) == {"#/email_verified_at"}

        ada = mailing.register()
        mailing.patch("users/me", claim, by=ada, status=422)
        assert mailing.get("users/me", by=ada).json["email_verified_at"] is None


class TestAskingForAnotherMail:
    def test_brings_one(self, mailing: Mailing, mailbox: Mailbox, user: Caller) -> None:
        mailing.post("auth/email/resend", by=user, status=202)

        assert mailbox.recipients == [[f"<{user.email}>"]]
        mailing.verify(mailbox.token, status=204)

    def test_leaves_the_first_one_valid(self, mailing: Mailing, mailbox: Mailbox) -> None:
        ada = mailing.register()
        first = mailbox.token
        mailing.post("auth/email/resend", by=ada, status=202)

        mailing.verify(first, status=204)

    def test_brings_none_where_the_address_is_confirmed(
        self, mailing: Mailing, mailbox: Mailbox
    ) -> None:
        ada = mailing.register()
        mailing.verify(mailbox.token, status=204)
        mailing.post("auth/email/resend", by=ada, status=202)

        assert len(mailbox.messages) == 1


# --- a forgotten password --------------------------------------------------------------------


class TestForgetting:
    def test_has_one_answer_whether_or_not_there_is_such_an_account(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller, other: Caller
    ) -> None:
        rows.change(mailing.app, User, other.id, is_active=False)
        emails = [user.email, "nobody@example.com", other.email]
        answers = [mailing.forgot(email, status=202) for email in emails]

        told = [
            (a.data, sorted((k, v) for k, v in a.headers if k not in ("X-Request-ID", "RateLimit")))
            for a in answers
        ]
        assert told == [told[0]] * 3
        assert answers[0].data == b""
        assert mailbox.recipients == [[f"<{user.email}>"]]

    def test_looks_for_the_account_only_after_the_answer(
        self, mailing: Mailing, user: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A job looks, so no clock tells whether there is such an account."""
        monkeypatch.setattr(mailing.app.extensions["jobs"], "send", lambda job_id: None)
        with statements(mailing.app) as sent:
            mailing.forgot(user.email, status=202)
            known = list(sent)
            mailing.forgot("nobody@example.com", status=202)

        assert sent == known * 2
        assert "INSERT INTO jobs" in str(known)
        assert "users" not in str(known)

    def test_takes_the_address_in_any_case(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller
    ) -> None:
        mailing.forgot(user.email.upper(), status=202)

        assert len(mailbox.messages) == 1

    def test_mails_a_link_and_what_to_do_with_it(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller
    ) -> None:
        mailing.forgot(user.email, status=202)

        assert mailbox.messages[0]["Subject"] == "Set a new password"
        assert f"https://app.example.com/reset-password#token={mailbox.token}\n" in mailbox.text
        assert "/api/v1/auth/password/reset" in mailbox.text

    def test_keeps_of_the_token_only_a_hash(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller
    ) -> None:
        mailing.forgot(user.email, status=202)

        assert len(mailbox.token) == 43  # 256 bits
        with mailing.app.app_context():
            [row] = db.session.execute(select(EmailToken.__table__)).all()
        assert mailbox.token not in str(row)
        assert mailbox.token.encode() not in row.hash

    def test_floods_no_mailbox(self, mailing: Mailing, mailbox: Mailbox, user: Caller) -> None:
        for _ in range(8):
            mailing.forgot(user.email, status=202)

        assert len(mailbox.messages) == 5
        let_them_expire(mailing.app)
        mailing.forgot(user.email, status=202)
        assert len(mailbox.messages) == 6
        with mailing.app.app_context():
            assert purge_email_tokens() == 5
        assert rows.count(mailing.app, EmailToken) == 1

    def test_has_a_limit_by_address(self, make_app: MakeApp) -> None:
        api = Mailing(make_app(mail_rate_limit="2 per hour"))
        for status in (202, 202, 429):
            api.forgot("nobody@example.com", status=status)


class TestResetting:
    @pytest.fixture
    def token(self, mailing: Mailing, mailbox: Mailbox, user: Caller) -> str:
        mailing.forgot(user.email, status=202)
        return mailbox.token

    def test_sets_the_password(self, mailing: Mailing, user: Caller, token: str) -> None:
        assert mailing.reset(token, status=204).data == b""

        log_in(mailing, user.email, PASSWORD, status=401)
        log_in(mailing, user.email, NEW_PASSWORD, status=200)

    def test_ends_all_sessions_at_once(self, mailing: Mailing, user: Caller, token: str) -> None:
        tokens = log_in(mailing, user.email, status=200).json

        mailing.reset(token, status=204)

        mailing.get("users/me", by=user, status=401)
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        mailing.get("users/me", headers=bearer, status=401)
        mailing.post("auth/refresh", {"refresh_token": tokens["refresh_token"]}, status=401)
        assert rows.count(mailing.app, Session, owner_id=user.id) == 0

    def test_proves_the_address(self, mailing: Mailing, user: Caller, token: str) -> None:
        mailing.reset(token, status=204)

        assert rows.read(mailing.app, User.email_verified_at, id=user.id) != [None]

    def test_leaves_others_alone(
        self, mailing: Mailing, other: Caller, user: Caller, token: str
    ) -> None:
        mailing.reset(token, status=204)

        mailing.get("users/me", by=other, status=200)
        log_in(mailing, other.email, PASSWORD, status=200)

    def test_works_once(self, mailing: Mailing, user: Caller, token: str) -> None:
        mailing.reset(token, status=204)
        mailing.reset(token, "yet another long password", status=401)

        log_in(mailing, user.email, NEW_PASSWORD, status=200)

    def test_works_once_of_two_at_the_same_time(
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

    def test_makes_other_tokens_worthless(
        self, mailing: Mailing, mailbox: Mailbox, user: Caller, token: str
    ) -> None:
        mailing.forgot(user.email, status=202)
        mailing.reset(mailbox.token, status=204)

        mailing.reset(token, status=401)

    def test_with_a_poor_password_leaves_the_token_valid(
        self, mailing: Mailing, user: Caller, token: str
    ) -> None:
        for poor in ("short", "passwordpassword", user.email):
            assert places(mailing.reset(token, poor, status=422)) == {"#/new_password"}

        mailing.get("users/me", by=user, status=200)
        mailing.reset(token, status=204)

    def test_has_one_answer_to_every_token_that_is_none(
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
    def test_with_a_malformed_token_is_422(self, mailing: Mailing, token_sent: Any) -> None:
        assert places(mailing.reset(token_sent, status=422)) == {"#/token"}
        assert places(mailing.verify(token_sent, status=422)) == {"#/token"}


def test_a_token_for_a_new_password_confirms_no_address(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)
    mailing.verify(mailbox.token, status=401)


def test_a_token_that_confirms_works_once_and_for_a_time(
    mailing: Mailing, mailbox: Mailbox
) -> None:
    ada = mailing.register()
    first = mailbox.token
    mailing.post("auth/email/resend", by=ada, status=202)
    mailing.verify(first, status=204)
    mailing.verify(first, status=401)
    let_them_expire(mailing.app)
    mailing.verify(mailbox.token, status=401)


def test_tokens_live_as_long_as_the_settings_say(
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


def test_a_changed_password_makes_mailed_tokens_for_another_worthless(
    mailing: Mailing, mailbox: Mailbox, user: Caller
) -> None:
    mailing.forgot(user.email, status=202)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    mailing.put("users/me/password", body, by=user, status=204)
    mailing.reset(mailbox.token, "yet another long password", status=401)


def test_tokens_go_with_the_account(mailing: Mailing, user: Caller) -> None:
    mailing.forgot(user.email, status=202)
    mailing.delete("users/me", by=user, status=204)
    assert rows.count(mailing.app, EmailToken) == 0


# --- the way out -----------------------------------------------------------------------------


@pytest.fixture
def output() -> io.StringIO:
    """What the application writes to its standard output."""
    return io.StringIO()


@pytest.fixture
def mailing_and_logging(make_app: MakeApp, output: io.StringIO, mailbox: Mailbox) -> Mailing:
    with redirect_stdout(output):
        return Mailing(make_app(smtp_url=mailbox.url, log_level="DEBUG"))


def test_what_is_mailed_is_not_logged(
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


def test_a_server_that_refuses_is_logged_and_asked_again_later(
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


def test_a_mail_that_is_sent_twice_is_the_same_mail(mailing: Mailing, mailbox: Mailbox) -> None:
    """Its worker died after the server took it, and before that was written down."""
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


def test_a_server_that_is_gone_is_no_error_of_the_request(make_app: MakeApp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    Mailing(make_app(smtp_url=f"smtp://127.0.0.1:{port}")).register()


@on_sqlite
def test_a_server_that_hangs_keeps_nobody_waiting(another_database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the kernel takes the connection
        url = f"smtp://127.0.0.1:{deaf.getsockname()[1]}"
        with serve(another_database_url, SMTP_URL=url) as live:
            assert live.call("POST", "users", ADA).status == 201
            assert live.call("GET", "products").status == 200
            # Answered while the conversation was still open: it is, since nobody has hung up.
            connection, _ = deaf.accept()
            with connection:
                connection.setblocking(False)
                with pytest.raises(BlockingIOError):
                    connection.recv(1)


@on_sqlite
def test_without_a_server_mail_goes_to_the_log(make_app: MakeApp, output: io.StringIO) -> None:
    with redirect_stdout(output):
        api = Mailing(make_app(log_level="INFO"))
    api.register()
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    [written] = [line for line in lines if line["event"] == "mail"]
    assert written["to"] == ADA["email"]
    assert "/verify-email#token=" in written["text"]


class TestUnderTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate for localhost and its key, in one file, signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        today = datetime.now(UTC)
        signed = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(today - timedelta(days=1))
            .not_valid_after(today + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path = tmp_path / "certificate.pem"
        plain = serialization.NoEncryption()
        path.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, pkcs8, plain))
        return path

    @pytest.fixture
    def mailbox(self, certificate: Path) -> Iterator[Mailbox]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        with receive(context) as box:
            yield box

    @on_sqlite
    def test_mail_is_sent_with_a_password_to_a_server_that_is_trusted(
        self,
        mailing: Mailing,
        mailbox: Mailbox,
        certificate: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        mailing.register()

        mailing.verify(mailbox.token, status=204)
        assert mailbox.logins == ["AGFkYQBhIHNlY3JldA=="]  # \0ada\0a secret

    @on_sqlite
    def test_nothing_is_told_to_a_server_that_is_not(
        self, mailing: Mailing, mailbox: Mailbox
    ) -> None:
        mailing.register()

        assert mailbox.logins == []
        assert mailbox.messages == []

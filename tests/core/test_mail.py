"""Mail: SMTP servers that fail, TLS, messages without a server."""

import io
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.auth.mailing import ADA, NEW_PASSWORD, Mailing
from tests.certificate import write_certificate
from tests.conftest import MakeApp, on_sqlite
from tests.live import serve
from tests.mail_server import Mailbox, receive


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """The mailbox of a running mail server."""
    with receive() as box:
        yield box


@pytest.fixture
def mailing(make_app: MakeApp, mailbox: Mailbox) -> Mailing:
    return Mailing(make_app(smtp_url=mailbox.url, public_url="https://app.example.com/"))


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
    api.verify(tokens[0], status=204)  # which ends earlier tokens of the account
    api.forgot(ADA["email"], status=202)
    tokens.append(mailbox.token)
    api.reset(tokens[1], status=204)
    api.reset(tokens[1], status=401)
    assert '"request"' in output.getvalue()
    for secret in (*tokens, ADA["email"], NEW_PASSWORD):
        assert secret not in output.getvalue()


def test_unreachable_mail_server_does_not_fail_the_request(make_app: MakeApp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    Mailing(make_app(smtp_url=f"smtp://127.0.0.1:{port}")).register()


@pytest.mark.slow
@on_sqlite
def test_hanging_mail_server_does_not_delay_requests(another_database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # the kernel accepts the connection
        url = f"smtp://127.0.0.1:{deaf.getsockname()[1]}"
        with serve(another_database_url, SMTP_URL=url) as live:
            assert live.call("POST", "users", ADA).status == 201
            assert live.call("GET", "articles").status == 200
            # Both responses came while the SMTP connection was still open.
            connection, _ = deaf.accept()
            with connection:
                connection.setblocking(False)
                with pytest.raises(BlockingIOError):
                    connection.recv(1)


@on_sqlite
def test_mail_is_logged_without_a_server(make_app: MakeApp, output: io.StringIO) -> None:
    with redirect_stdout(output):
        api = Mailing(make_app(log_level="INFO"))
    api.register()
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    [written] = [line for line in lines if line["event"] == "mail"]
    assert written["to"] == ADA["email"]
    assert "/verify-email#token=" in written["text"]


class TestMailOverTls:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate for localhost and its key, in one file, signed by itself."""
        path = tmp_path / "certificate.pem"
        write_certificate(path)
        return path

    @pytest.fixture
    def context(self, certificate: Path) -> ssl.SSLContext:
        """The server's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return context

    @pytest.fixture(params=["smtps", "smtp+starttls"])
    def mailbox(self, context: ssl.SSLContext, request: pytest.FixtureRequest) -> Iterator[Mailbox]:
        with receive(context, request.param) as box:
            yield box

    @on_sqlite
    def test_nothing_is_sent_to_a_server_without_starttls(
        self, context: ssl.SSLContext, make_app: MakeApp
    ) -> None:
        with receive(context, "smtp+starttls", offers_tls=False) as box:
            Mailing(make_app(smtp_url=box.url)).register()
            assert (box.logins, box.messages) == ([], [])

    @on_sqlite
    def test_mail_is_sent_with_credentials_to_a_trusted_server(
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
    def test_nothing_is_sent_to_an_untrusted_server(
        self, mailing: Mailing, mailbox: Mailbox
    ) -> None:
        mailing.register()
        assert mailbox.logins == []
        assert mailbox.messages == []

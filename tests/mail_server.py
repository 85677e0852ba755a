"""A mail server for tests: SMTP on a loopback port, messages are kept in memory."""

import re
import socketserver
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Thread
from typing import Any


@dataclass
class Mailbox:
    """The messages that a server received, the latest last, and its behaviour."""

    url: str = ""
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    refusal: str = ""  # the answer to every recipient, for example "550 No such user"
    on_message: Callable[[], Any] = lambda: None

    @property
    def text(self) -> str:
        """The latest message's text."""
        content: str = self.messages[-1].get_content()
        return content.replace("\r\n", "\n")

    @property
    def token(self) -> str:
        """The token in the latest message with a link."""
        texts = "".join(message.get_content() for message in self.messages)
        return re.findall(r"#token=(\S+)", texts)[-1]


@dataclass
class Encryption:
    """How a server encrypts: at once or, with the scheme `smtp+starttls`, when it is asked to."""

    context: ssl.SSLContext | None
    scheme: str
    offers_tls: bool

    @property
    def is_asked_for(self) -> bool:
        return self.scheme == "smtp+starttls"


class Server(socketserver.ThreadingTCPServer):
    """Keeps the messages of all conversations."""

    def __init__(self, mailbox: Mailbox, encryption: Encryption) -> None:
        self.mailbox, self.encryption = mailbox, encryption
        super().__init__(("127.0.0.1", 0), Conversation)

    def get_request(self) -> Any:
        connection, address = super().get_request()
        at_once = None if self.encryption.is_asked_for else self.encryption.context
        return (at_once.wrap_socket(connection, True) if at_once else connection), address


class Conversation(socketserver.StreamRequestHandler):
    """One connection: answers each command."""

    server: Server

    def handle(self) -> None:
        self.recipients: list[str] = []
        self.say("220 test ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].decode().strip().lower()
            getattr(self, f"do_{verb}", self.do_anything)(line)

    def do_ehlo(self, _: bytes) -> None:
        encryption = self.server.encryption
        is_encrypted = isinstance(self.request, ssl.SSLSocket)
        self.say("250-test")
        self.say("250-SMTPUTF8")
        if encryption.is_asked_for and encryption.offers_tls and not is_encrypted:
            self.say("250-STARTTLS")
        self.say("250 AUTH PLAIN")

    def do_star(self, line: bytes) -> None:
        encryption = self.server.encryption
        if not (encryption.context and encryption.is_asked_for and encryption.offers_tls):
            self.do_anything(line)
            return
        self.say("220 Go ahead")
        self.request = encryption.context.wrap_socket(self.request, True)
        super().setup()

    def do_auth(self, line: bytes) -> None:
        self.server.mailbox.logins.append(line.decode().split()[-1])
        self.say("235 Welcome")

    def do_rcpt(self, line: bytes) -> None:
        self.recipients.append(line.decode().strip().partition(":")[2])
        self.say(self.server.mailbox.refusal or "250 Ok")

    def do_data(self, _: bytes) -> None:
        mailbox = self.server.mailbox
        self.say("354 Send the message")
        raw = b"".join(iter(self.rfile.readline, b".\r\n"))
        mailbox.on_message()
        mailbox.messages.append(message_from_bytes(raw, policy=policy.default))
        mailbox.recipients.append(self.recipients)
        self.say("250 Ok")

    def do_quit(self, _: bytes) -> None:
        self.say("221 Bye")

    def do_anything(self, _: bytes) -> None:
        self.say("250 Ok")

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server has only the socket from before TLS

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@contextmanager
def receive(
    context: ssl.SSLContext | None = None, scheme: str = "smtps", *, offers_tls: bool = True
) -> Iterator[Mailbox]:
    """Yield the mailbox of a listening server, with TLS if a context is given."""
    mailbox = Mailbox()
    with Server(mailbox, Encryption(context, scheme, offers_tls)) as server:
        address = f"{scheme}://ada:a%20secret@localhost" if context else "smtp://127.0.0.1"
        mailbox.url = f"{address}:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()

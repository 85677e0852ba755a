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


@contextmanager
def receive(
    context: ssl.SSLContext | None = None, scheme: str = "smtps", *, offers_tls: bool = True
) -> Iterator[Mailbox]:
    """Yield the mailbox of a listening server, with TLS if a context is given.

    With the scheme `smtp+starttls` the conversation begins in clear, and TLS is offered in it.
    """
    mailbox = Mailbox()
    starttls = scheme == "smtp+starttls"

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 test ESMTP")
            recipients: list[str] = []
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    self.say("250-test")
                    self.say("250-SMTPUTF8")
                    if starttls and offers_tls and not isinstance(self.request, ssl.SSLSocket):
                        self.say("250-STARTTLS")
                    self.say("250 AUTH PLAIN")
                elif verb == b"STAR" and starttls and offers_tls and context:
                    self.say("220 Go ahead")
                    self.request = context.wrap_socket(self.request, True)
                    super().setup()
                elif verb == b"AUTH":
                    mailbox.logins.append(line.decode().split()[-1])
                    self.say("235 Welcome")
                elif verb == b"RCPT":
                    recipients.append(line.decode().strip().partition(":")[2])
                    self.say(mailbox.refusal or "250 Ok")
                elif verb == b"DATA":
                    self.say("354 Send the message")
                    raw = b"".join(iter(self.rfile.readline, b".\r\n"))
                    mailbox.on_message()
                    mailbox.messages.append(message_from_bytes(raw, policy=policy.default))
                    mailbox.recipients.append(recipients)
                    self.say("250 Ok")
                else:
                    self.say("221 Bye" if verb == b"QUIT" else "250 Ok")

        def finish(self) -> None:
            super().finish()
            self.request.close()  # the server has only the socket from before TLS

        def say(self, line: str) -> None:
            self.wfile.write(line.encode() + b"\r\n")

    class Server(socketserver.ThreadingTCPServer):
        def get_request(self) -> Any:
            connection, address = super().get_request()
            at_once = context if not starttls else None
            return (at_once.wrap_socket(connection, True) if at_once else connection), address

    with Server(("127.0.0.1", 0), Conversation) as server:
        address = f"{scheme}://ada:a%20secret@localhost" if context else "smtp://127.0.0.1"
        mailbox.url = f"{address}:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()

"""A connection to the database that breaks between the execution of a statement and its answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.core.files.uploads import StoredUpload
from app.jobs.models import Job
from app.users.models import User
from tests import rows
from tests.api import Api
from tests.articles.models import Article
from tests.conftest import MakeApp, migrate_to_head, on_postgresql
from tests.core.web.database_faults import ACCOUNT, MUG, check_unavailable
from tests.pooler import url_without_pooler

pytestmark = on_postgresql
COMMIT = b"COMMIT\0"  # the statement, as the protocol ends it; not READ COMMITTED


class Wire:
    """A TCP proxy that closes a connection instead of the answer to a statement with some text."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server, self.listener = server, socket.create_server(("127.0.0.1", 0))
        self.break_at = b""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
                threading.Thread(target=self._relay, args=(client, server), daemon=True).start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        broken = threading.Event()

        def answer() -> None:
            with suppress(OSError):
                while (data := server.recv(65536)) and not broken.is_set():
                    client.sendall(data)
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=answer, daemon=True).start()
        with client, server, suppress(OSError):
            while data := client.recv(65536):
                if self.break_at and self.break_at in data:
                    self.break_at = b""
                    broken.set()
                server.sendall(data)


@pytest.fixture
def wire(another_database_url: str) -> Iterator[Wire]:
    server = urlsplit(url_without_pooler(another_database_url))
    wire = Wire((server.hostname or "127.0.0.1", server.port or 5432))
    yield wire
    wire.listener.shutdown(socket.SHUT_RDWR)
    wire.listener.close()


@pytest.fixture
def wired(make_app: MakeApp, another_database_url: str, wire: Wire) -> Api:
    """An application whose connections to its own database pass the proxy."""
    server = urlsplit(url_without_pooler(another_database_url))
    address = f"{server.netloc.rpartition('@')[0]}@127.0.0.1:{wire.port}"
    url = server._replace(netloc=address, query="sslmode=disable").geturl()
    app = make_app(database_url=url, database_pooler=False)
    migrate_to_head(app)
    return Api(app)


@pytest.mark.parametrize(
    ("path", "body", "model", "break_at"),
    [
        ("articles", MUG, Article, b"INSERT INTO articles"),  # in autocommit
        # begin jobs
        ("users", ACCOUNT, User, COMMIT),  # with the job that mails
        # end jobs
    ],
)
def test_write_whose_answer_is_lost_has_an_unknown_outcome(
    wired: Api, wire: Wire, path: str, body: Any, model: Any, break_at: bytes
) -> None:
    editor = wired.sign_up("editor")
    before = rows.count(wired.app, model)
    wire.break_at = break_at
    check_unavailable(wired.post(path, body, by=editor), "outcome-unknown")
    assert rows.count(wired.app, model) == before + 1


def test_repetition_with_the_same_idempotency_key_creates_nothing_new(
    wired: Api, wire: Wire
) -> None:
    editor = wired.sign_up("editor")
    key = {"Idempotency-Key": "a-key-that-is-repeated"}
    wire.break_at = COMMIT
    check_unavailable(wired.post("articles", MUG, by=editor, headers=key), "outcome-unknown")
    wired.post("articles", MUG, by=editor, headers=key, status=201)
    assert rows.count(wired.app, Article) == 1


def test_transaction_that_is_lost_before_its_commit_has_done_nothing(
    wired: Api, wire: Wire
) -> None:
    editor = wired.sign_up("editor")
    key = {"Idempotency-Key": "a-key-that-needs-a-transaction"}
    wire.break_at = b"INSERT INTO articles"
    check_unavailable(wired.post("articles", MUG, by=editor, headers=key))
    assert rows.count(wired.app, Article) == 0


def test_read_whose_answer_is_lost_is_repeated(wired: Api, wire: Wire) -> None:
    wire.break_at = b"FROM articles"
    wired.get("articles", status=200)
    assert wire.break_at == b""


# begin jobs
def test_file_is_kept_where_the_outcome_of_its_request_is_unknown(wired: Api, wire: Wire) -> None:
    """Else a job, or a row that keeps the file, could be without it."""
    editor = wired.sign_up("editor")
    file: dict[str, Any] = {"data": b"sku\n", "content_type": "text/csv", "by": editor}
    wire.break_at = b"INSERT INTO jobs"
    check_unavailable(wired.call("POST", "articles/imports", **file), "outcome-unknown")
    assert rows.count(wired.app, Job) == rows.count(wired.app, StoredUpload) == 1


# end jobs

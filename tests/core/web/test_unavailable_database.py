"""A database that is closed, stopped, silent, locked or read-only is a 503."""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.extensions import db
from tests.api import Api
from tests.conftest import MakeApp, migrate_to_head, on_postgresql, on_sqlite, own_server
from tests.core.web.database_faults import ACCOUNT, MUG, NOWHERE, check_unavailable
from tests.rows import database_name, terminate_connections


@pytest.fixture
def fragile(make_app: MakeApp, another_database_url: str) -> Api:
    """An application with short waits on a database that no other test uses."""
    app = make_app(
        database_url=another_database_url, lock_timeout_ms=50, pool_size=1, pool_timeout=0
    )
    migrate_to_head(app)
    return Api(app)


@pytest.fixture
def outside(another_database_url: str) -> Iterator[psycopg.Connection]:
    """Another session on the same PostgreSQL database."""
    with psycopg.connect(another_database_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def superuser(
    request: pytest.FixtureRequest, another_database_url: str
) -> Iterator[psycopg.Connection]:
    """A session on the same PostgreSQL server, in no database that a test uses."""
    with psycopg.connect(request.config.servers["postgresql"], autocommit=True) as connection:
        yield connection


@on_postgresql
def test_read_on_a_closed_connection_succeeds(
    fragile: Api, superuser: psycopg.Connection, another_database_url: str
) -> None:
    fragile.get("articles", status=200)
    terminate_connections(superuser, another_database_url)
    fragile.get("articles", status=200)


@on_postgresql
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("articles", MUG),
        # begin jobs
        ("users", ACCOUNT),  # with the job that mails
        # end jobs
    ],
)
def test_write_whose_connection_is_lost_while_it_runs_is_503_and_not_repeated(
    path: str,
    body: Any,
    make_app: MakeApp,
    superuser: psycopg.Connection,
    outside: psycopg.Connection,
    another_database_url: str,
) -> None:
    """`articles` is written in autocommit, `users` in a transaction."""
    api = Api(make_app(database_url=another_database_url, lock_timeout_ms=30_000))
    migrate_to_head(api.app)
    editor = api.sign_up("editor")
    outside.execute(f"LOCK TABLE {path}")
    waiting = "FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    name = [database_name(another_database_url)]
    with ThreadPoolExecutor(1) as thread:
        response = thread.submit(api.post, path, body, by=editor)
        while not superuser.execute(f"SELECT {waiting}", name).fetchall():
            time.sleep(0.005)
        superuser.execute(f"SELECT pg_terminate_backend(pid) {waiting}", name)
    slug = "outcome-unknown" if path == "articles" else "service-unavailable"
    check_unavailable(response.result(), slug)
    outside.rollback()
    api.post(path, body, by=editor, status=201)  # a conflict if it had been repeated


@on_postgresql
@pytest.mark.parametrize(("path", "body"), [("articles", MUG), ("users", ACCOUNT)])
def test_write_is_not_sent_over_a_closed_connection(
    path: str,
    body: Any,
    fragile: Api,
    superuser: psycopg.Connection,
    another_database_url: str,
) -> None:
    editor = fragile.sign_up("editor")
    terminate_connections(superuser, another_database_url)
    fragile.post(path, body, by=editor, status=201)


@on_postgresql
def test_unavailable_database_is_503_until_it_is_back(
    fragile: Api, superuser: psycopg.Connection, another_database_url: str
) -> None:
    editor, name = fragile.sign_up("editor"), database_name(another_database_url)
    superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    terminate_connections(superuser, another_database_url)
    for response in (
        fragile.get("articles"),
        fragile.get(f"articles/{NOWHERE}"),
        fragile.post("articles", MUG, by=editor),
        fragile.get("/health/ready"),
    ):
        check_unavailable(response)
    fragile.get("/health/live", status=200)

    superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    fragile.get("articles", status=200)
    fragile.post("articles", MUG, by=editor, status=201)
    fragile.get("/health/ready", status=200)


@on_postgresql
def test_stopped_database_server_is_503(make_app: MakeApp) -> None:
    with own_server("postgresql") as url:
        api = Api(make_app(database_url=url, connect_timeout=2))
        migrate_to_head(api.app)
        editor = api.sign_up("editor")
        with psycopg.connect(url) as connection:
            folder = connection.execute("SHOW data_directory").fetchone()[0]
        postmaster = Path(folder, "postmaster.pid").read_text().split()[0]
        os.kill(int(postmaster), signal.SIGQUIT)
        check_unavailable(api.get("articles"))
        check_unavailable(api.post("articles", MUG, by=editor))
        check_unavailable(api.get("/health/ready"))
        api.get("/health/live", status=200)


@on_postgresql
def test_silent_database_server_is_503_within_the_timeouts(make_app: MakeApp) -> None:
    with own_server("postgresql") as url:
        api = Api(make_app(database_url=url, statement_timeout_ms=2000, connect_timeout=2))
        migrate_to_head(api.app)
        editor = api.sign_up("editor")
        api.get("articles", status=200)
        with psycopg.connect(url) as connection:
            folder = connection.execute("SHOW data_directory").fetchone()[0]
        postmaster = int(Path(folder, "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        processes = [postmaster, *map(int, children)]

        def signal_all(which: signal.Signals) -> None:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, which)

        rescue = threading.Timer(
            60, signal_all, [signal.SIGCONT]
        )  # so that an unbounded wait fails, too
        rescue.start()
        signal_all(signal.SIGSTOP)
        try:
            check_unavailable(api.get("articles"))  # on the pooled connection
            check_unavailable(api.get("articles"))  # on a new connection
            check_unavailable(api.post("articles", MUG, by=editor))
            api.get("/health/live", status=200)
        finally:
            rescue.cancel()
            signal_all(signal.SIGCONT)
        api.get("articles", status=200)
        api.post("articles", MUG, by=editor, status=201)


@on_postgresql
def test_exhausted_pool_is_503(fragile: Api) -> None:
    editor = fragile.sign_up("editor")
    with fragile.app.app_context():
        engine = db.engine
    with engine.connect():
        check_unavailable(fragile.get("articles"))
        check_unavailable(fragile.post("articles", MUG, by=editor))
        fragile.get("/health/live", status=200)
    fragile.get("articles", status=200)


@on_postgresql
def test_locked_row_is_503_and_unchanged(fragile: Api, outside: psycopg.Connection) -> None:
    editor = fragile.sign_up("editor")
    mug = fragile.post("articles", MUG, by=editor, status=201).headers["Location"]
    outside.execute("SELECT FROM articles FOR UPDATE")
    check_unavailable(fragile.patch(mug, {"stock": 5}, by=editor))
    check_unavailable(fragile.delete(mug, by=editor))
    assert fragile.get(mug, status=200).json["version"] == 1
    outside.rollback()
    fragile.patch(mug, {"stock": 5}, by=editor, status=200)


@on_postgresql
def test_locked_table_is_503(fragile: Api, outside: psycopg.Connection) -> None:
    outside.execute("LOCK TABLE articles")
    check_unavailable(fragile.get("articles"))
    outside.rollback()
    fragile.get("articles", status=200)


@on_postgresql
def test_statement_timeout_is_503(make_app: MakeApp, another_database_url: str) -> None:
    slow = Blueprint("slow", __name__, url_prefix="/slow", description="Takes a minute.")

    @slow.post("", access=public)
    @slow.response(204)
    def wait() -> None:
        """Wait."""
        db.session.execute(text("SELECT pg_sleep(60)"))

    app = make_app(slow, database_url=another_database_url, statement_timeout_ms=50)
    check_unavailable(Api(app).post("slow"))


@on_postgresql
def test_read_only_database_is_503_for_writes_only(
    fragile: Api, superuser: psycopg.Connection, another_database_url: str
) -> None:
    editor, name = fragile.sign_up("editor"), database_name(another_database_url)
    superuser.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    terminate_connections(superuser, another_database_url)
    fragile.get("articles", status=200)
    check_unavailable(fragile.post("articles", MUG, by=editor))
    superuser.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    fragile.get("articles", status=200)
    fragile.post("articles", MUG, by=editor, status=201)  # on a new connection


@on_sqlite
def test_locked_sqlite_file_is_503_for_writes_only(fragile: Api, another_database_url: str) -> None:
    editor, file = fragile.sign_up("editor"), another_database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        check_unavailable(fragile.post("articles", MUG, by=editor))
        fragile.get("articles", status=200)
        fragile.get("/health/ready", status=200)
    fragile.post("articles", MUG, by=editor, status=201)

"""Errors: problem details (RFC 9457) from everywhere, each told apart, none with internals."""

import io
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import insert, text
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.core.web.problems import TYPES, Problem
from app.extensions import db
from app.products.models import Product
from tests.api import Api, Caller, places
from tests.conftest import Lines, MakeApp, migrate_to_head, on_postgresql, on_sqlite, own_server
from tests.rows import end_sessions, name_of

JSON = "application/json"
NOWHERE = "00000000-0000-7000-8000-000000000000"
MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}
ACCOUNT = {"email": "ada@example.com", "name": "Ada", "password": "a long enough password"}
MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}


def check_problem(response: TestResponse, slug: str) -> dict[str, Any]:
    """The problem's body, after a check of everything that all problems have in common."""
    kind = TYPES[slug]
    assert response.status_code == kind.status, response.text
    assert response.mimetype == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = response.json
    assert set(body) - {"errors"} == MEMBERS
    assert body["type"] == f"/problems/{slug}"
    assert (body["title"], body["status"]) == (kind.title, kind.status)
    assert body["instance"].startswith("urn:uuid:")
    assert body["request_id"] == response.headers["X-Request-ID"]
    return body


def check_unavailable(response: TestResponse) -> None:
    """A 503 that says when to come back, and nothing about the database."""
    check_problem(response, "service-unavailable")
    assert 0 < int(response.headers["Retry-After"]) < 60
    for word in ("sql", "psycopg", "SELECT", "INSERT", "products", "lock"):
        assert word not in response.text


# --- shape -----------------------------------------------------------------------------------

ERRORS: dict[str, tuple[str, str, str | None, dict[str, Any]]] = {
    "bad-request": ("POST", "products", "editor", {"data": "{", "content_type": JSON}),
    "invalid-cursor": ("GET", "products?cursor=x", None, {}),
    "unauthorized": ("GET", "tasks", None, {}),
    "forbidden": ("POST", "products", "user", {"json": MUG}),
    "not-found": ("GET", f"products/{NOWHERE}", None, {}),
    "method-not-allowed": ("PUT", "products", None, {}),
    "not-acceptable": ("GET", "products", None, {"headers": {"Accept": "application/xml"}}),
    "conflict": ("DELETE", "users/me", "admin", {"headers": {"If-Match": "*"}}),
    "precondition-failed": ("DELETE", "users/me", "user", {"headers": {"If-Match": '"99"'}}),
    "precondition-required": ("DELETE", "users/me", "user", {}),
    "content-too-large": (
        "POST", "products", "editor", {"data": "x" * 2_000_000, "content_type": JSON}
    ),
    "unsupported-media-type": ("POST", "products", "editor", {"data": "sku,name"}),
    "range-not-satisfiable": (
        "GET", "/docs/swagger-ui.css", None, {"headers": {"Range": "bytes=999999999-"}}
    ),
    "validation-error": ("POST", "products", "editor", {"json": {}}),
}  # fmt: skip


@pytest.mark.parametrize("slug", ERRORS)
def test_every_error_has_one_shape(api: Api, slug: str) -> None:
    method, path, role, kwargs = ERRORS[slug]
    by = api.sign_up(role) if role else None
    with api.call(method, path, by=by, **kwargs) as response:
        check_problem(response, slug)


def test_each_occurrence_is_another_instance(api: Api) -> None:
    assert api.get("/nothing").json["instance"] != api.get("/nothing").json["instance"]


def test_a_caller_who_takes_only_json_is_given_the_problem_all_the_same(api: Api) -> None:
    check_problem(api.get("/nothing", headers={"Accept": "application/json"}), "not-found")


def test_head_has_the_status_and_no_body(api: Api) -> None:
    response = api.call("HEAD", "/nothing", status=404)
    assert response.data == b""


@pytest.mark.parametrize("slug", TYPES)
def test_a_type_leads_to_its_page(api: Api, slug: str) -> None:
    page = api.get(f"/problems/{slug}", headers={"Accept": "text/html"}, status=200)
    assert page.mimetype == "text/html"
    assert TYPES[slug].title in page.text
    described = api.get(f"/problems/{slug}", headers={"Accept": "application/json"}, status=200)
    assert described.json["type"] == f"/problems/{slug}"
    assert described.json["title"] == TYPES[slug].title
    assert described.json["status"] == TYPES[slug].status


def test_all_types_are_on_one_page(api: Api) -> None:
    listed = api.get("/problems", headers={"Accept": "application/json"}, status=200)
    assert [kind["type"] for kind in listed.json["items"]] == [f"/problems/{s}" for s in TYPES]
    assert all(kind.title in api.get("/problems").text for kind in TYPES.values())


def test_a_type_that_we_do_not_have_is_404(api: Api) -> None:
    check_problem(api.get("/problems/nonsense"), "not-found")


# --- routing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/nothing", "/api/v2/products"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_address_is_404(api: Api, method: str, path: str) -> None:
    check_problem(api.call(method, path), "not-found")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/health/live", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
        ("/problems/not-found", "GET, HEAD, OPTIONS"),
        ("users/me/password", "OPTIONS, PUT"),
        ("auth/login", "OPTIONS, POST"),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "TRACE", "NONSENSE"])
def test_another_method_is_405_with_those_that_work(
    api: Api, method: str, path: str, allowed: str
) -> None:
    response = api.call(method, path)
    check_problem(response, "method-not-allowed")
    assert response.headers["Allow"] == allowed


def test_what_cannot_be_answered_in_json_is_not_done(api: Api, editor: Caller) -> None:
    xml = {"Accept": "application/xml"}
    check_problem(api.post("products", MUG, by=editor, headers=xml), "not-acceptable")
    assert api.get("products").json["items"] == []


def test_a_host_that_we_do_not_serve_is_refused(make_app: MakeApp) -> None:
    api = Api(make_app(trusted_hosts=("api.example.com",)))
    check_problem(api.get("products", headers={"Host": "evil.example"}), "bad-request")
    api.get("products", headers={"Host": "api.example.com"}, status=200)


def test_a_problem_raised_before_any_view_is_answered_as_one(make_app: MakeApp) -> None:
    app = make_app()

    @app.before_request
    def refuse() -> None:
        raise Problem("service-unavailable", "Closed for repair.", headers={"Retry-After": "7"})

    for path in ("products", "/nothing"):
        response = Api(app).get(path)
        assert check_problem(response, "service-unavailable")["detail"] == "Closed for repair."
        assert response.headers["Retry-After"] == "7"


# --- validation ------------------------------------------------------------------------------


def test_every_failing_member_is_named_at_once(api: Api, editor: Caller) -> None:
    body = {"name": "", "price": 12.5, "currency": "XXX", "stock": -1, "is_active": 1, "id": "x"}
    problem = check_problem(api.post("products", body, by=editor), "validation-error")
    assert sorted(place["pointer"] for place in problem["errors"]) == [
        "#/category", "#/currency", "#/id", "#/is_active", "#/name", "#/price", "#/sku", "#/stock",
    ]  # fmt: skip
    assert all(place["detail"] for place in problem["errors"])


@pytest.mark.parametrize("member", ["id", "version", "created_at", "updated_at"])
def test_a_read_only_member_is_refused(api: Api, editor: Caller, member: str) -> None:
    response = api.post("products", MUG | {member: None}, by=editor, status=422)
    assert places(response) == {f"#/{member}"}


# --- what the database refuses ---------------------------------------------------------------


@pytest.fixture
def mug(api: Api, editor: Caller) -> str:
    """The path of a mug for 12.50 EUR."""
    return str(api.post("products", MUG, by=editor, status=201).headers["Location"])


@pytest.mark.parametrize(
    ("change", "slug", "pointer"),
    [
        ({"sku": "taken"}, "conflict", "#/sku"),
        ({"sku": "TAKEN"}, "conflict", "#/sku"),
        ({"price": "12.501"}, "validation-error", "#/price"),
        ({"currency": "JPY"}, "validation-error", "#/price"),
    ],
)
def test_a_broken_constraint_is_told_by_its_name(
    api: Api, editor: Caller, mug: str, change: dict[str, str], slug: str, pointer: str
) -> None:
    api.post("products", MUG | {"sku": "Taken"}, by=editor, status=201)
    before = api.get(mug).json
    response = api.patch(mug, change, by=editor)
    check_problem(response, slug)
    assert places(response) == {pointer}
    assert api.get(mug).json == before


def test_a_taken_address_is_told_from_a_taken_sku(api: Api, user: Caller) -> None:
    body = {"email": user.email, "name": "Ada", "password": "a long enough password"}
    response = api.post("users", body)
    check_problem(response, "conflict")
    assert places(response) == {"#/email"}
    assert user.email not in response.text


def fail(make_app: MakeApp, error: Exception | None = None, **values: Any) -> TestResponse:
    """The answer of a view that raises, or else inserts a product of these values unchecked."""
    odd = Blueprint("odd", __name__, url_prefix="/odd", description="Fails.")

    @odd.post("", access=public)
    @odd.response(204)
    def fail() -> None:
        """Fail."""
        if error:
            raise error
        db.session.execute(insert(Product), values)

    return Api(make_app(odd)).post("odd")


@pytest.mark.parametrize("values", [{"stock": -1}, {"currency": None}])
def test_a_constraint_that_callers_know_nothing_of_is_a_plain_conflict(
    make_app: MakeApp, api: Api, values: dict[str, Any]
) -> None:
    response = fail(make_app, **{**MUG, "price": 1, **values})
    assert "errors" not in check_problem(response, "conflict")
    for word in ("products", "stock", "currency", "constraint"):
        assert word not in response.text
    assert api.get("products").json["items"] == []


# --- what nobody foresaw ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [RuntimeError("s3cret"), KeyError("s3cret"), RecursionError("s3cret"), OSError("s3cret")],
    ids=lambda error: type(error).__name__,
)
def test_an_unforeseen_exception_is_500_without_internals(
    make_app: MakeApp, error: Exception
) -> None:
    response = fail(make_app, error)
    check_problem(response, "internal-error")
    for word in ("s3cret", type(error).__name__, "Traceback", ".py"):
        assert word not in response.text


def test_the_service_goes_on_after_a_500(make_app: MakeApp, api: Api, editor: Caller) -> None:
    fail(make_app, RuntimeError())
    api.post("products", MUG, by=editor, status=201)


def test_an_exception_of_werkzeug_says_our_words(make_app: MakeApp) -> None:
    class Conflict(HTTPException):
        code = 409
        description = "s3cret"

    assert check_problem(fail(make_app, Conflict()), "conflict")["detail"] != "s3cret"


# --- a database that does not serve ----------------------------------------------------------


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
def test_a_read_on_a_connection_that_the_server_ended_is_answered(
    fragile: Api, superuser: psycopg.Connection, another_database_url: str
) -> None:
    fragile.get("products", status=200)
    end_sessions(superuser, another_database_url)
    fragile.get("products", status=200)


@on_postgresql
@pytest.mark.parametrize(("path", "body"), [("products", MUG), ("users", ACCOUNT)])
def test_write_whose_connection_is_lost_while_it_runs_is_503_and_not_repeated(
    path: str,
    body: Any,
    make_app: MakeApp,
    superuser: psycopg.Connection,
    outside: psycopg.Connection,
    another_database_url: str,
) -> None:
    """`products` is written in autocommit, `users` in a transaction."""
    api = Api(make_app(database_url=another_database_url, lock_timeout_ms=30_000))
    migrate_to_head(api.app)
    editor = api.sign_up("editor")
    outside.execute(f"LOCK TABLE {path}")
    waiting = "FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
    name = [name_of(another_database_url)]
    with ThreadPoolExecutor(1) as thread:
        response = thread.submit(api.post, path, body, by=editor)
        while not superuser.execute(f"SELECT {waiting}", name).fetchall():
            time.sleep(0.005)
        superuser.execute(f"SELECT pg_terminate_backend(pid) {waiting}", name)
    check_unavailable(response.result())
    outside.rollback()
    api.post(path, body, by=editor, status=201)  # a conflict if it had been repeated


@on_postgresql
@pytest.mark.parametrize(("path", "body"), [("products", MUG), ("users", ACCOUNT)])
def test_write_is_not_sent_over_a_connection_that_was_closed(
    path: str,
    body: Any,
    fragile: Api,
    superuser: psycopg.Connection,
    another_database_url: str,
) -> None:
    editor = fragile.sign_up("editor")
    end_sessions(superuser, another_database_url)
    fragile.post(path, body, by=editor, status=201)


@on_postgresql
def test_a_database_that_is_away_is_503_and_served_again_once_it_is_back(
    fragile: Api, superuser: psycopg.Connection, another_database_url: str
) -> None:
    editor, name = fragile.sign_up("editor"), name_of(another_database_url)
    superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    end_sessions(superuser, another_database_url)
    for response in (
        fragile.get("products"),
        fragile.get(f"products/{NOWHERE}"),
        fragile.post("products", MUG, by=editor),
        fragile.get("/health/ready"),
    ):
        check_unavailable(response)
    fragile.get("/health/live", status=200)

    superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    fragile.get("products", status=200)
    fragile.post("products", MUG, by=editor, status=201)
    fragile.get("/health/ready", status=200)


@on_postgresql
def test_a_server_that_has_stopped_is_503(make_app: MakeApp) -> None:
    with own_server("postgresql") as url:
        api = Api(make_app(database_url=url, connect_timeout=2))
        migrate_to_head(api.app)
        editor = api.sign_up("editor")
        with psycopg.connect(url) as connection:
            folder = connection.execute("SHOW data_directory").fetchone()[0]
        postmaster = Path(folder, "postmaster.pid").read_text().split()[0]
        os.kill(int(postmaster), signal.SIGQUIT)
        check_unavailable(api.get("products"))
        check_unavailable(api.post("products", MUG, by=editor))
        check_unavailable(api.get("/health/ready"))
        api.get("/health/live", status=200)


@on_postgresql
def test_a_server_that_is_connected_and_silent_is_503_in_time(make_app: MakeApp) -> None:
    with own_server("postgresql") as url:
        api = Api(make_app(database_url=url, statement_timeout_ms=2000, connect_timeout=2))
        migrate_to_head(api.app)
        editor = api.sign_up("editor")
        api.get("products", status=200)
        with psycopg.connect(url) as connection:
            folder = connection.execute("SHOW data_directory").fetchone()[0]
        postmaster = int(Path(folder, "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        processes = [postmaster, *map(int, children)]

        def signal_all(which: signal.Signals) -> None:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, which)

        rescue = threading.Timer(60, signal_all, [signal.SIGCONT])  # a wait without end fails, too
        rescue.start()
        signal_all(signal.SIGSTOP)
        try:
            check_unavailable(api.get("products"))  # on a connection that is there
            check_unavailable(api.get("products"))  # on a new one
            check_unavailable(api.post("products", MUG, by=editor))
            api.get("/health/live", status=200)
        finally:
            rescue.cancel()
            signal_all(signal.SIGCONT)
        api.get("products", status=200)
        api.post("products", MUG, by=editor, status=201)


@on_postgresql
def test_no_connection_left_in_the_pool_is_503(fragile: Api) -> None:
    editor = fragile.sign_up("editor")
    with fragile.app.app_context():
        engine = db.engine
    with engine.connect():
        check_unavailable(fragile.get("products"))
        check_unavailable(fragile.post("products", MUG, by=editor))
        fragile.get("/health/live", status=200)
    fragile.get("products", status=200)


@on_postgresql
def test_a_row_that_others_have_locked_is_503_and_unchanged(
    fragile: Api, outside: psycopg.Connection
) -> None:
    editor = fragile.sign_up("editor")
    mug = fragile.post("products", MUG, by=editor, status=201).headers["Location"]
    outside.execute("SELECT FROM products FOR UPDATE")
    check_unavailable(fragile.patch(mug, {"stock": 5}, by=editor))
    check_unavailable(fragile.delete(mug, by=editor))
    assert fragile.get(mug, status=200).json["version"] == 1

    outside.rollback()
    fragile.patch(mug, {"stock": 5}, by=editor, status=200)


@on_postgresql
def test_a_table_that_others_have_locked_is_503(fragile: Api, outside: psycopg.Connection) -> None:
    outside.execute("LOCK TABLE products")
    check_unavailable(fragile.get("products"))
    outside.rollback()
    fragile.get("products", status=200)


@on_postgresql
def test_a_statement_that_takes_too_long_is_503(
    make_app: MakeApp, another_database_url: str
) -> None:
    slow = Blueprint("slow", __name__, url_prefix="/slow", description="Takes a minute.")

    @slow.post("", access=public)
    @slow.response(204)
    def wait() -> None:
        """Wait."""
        db.session.execute(text("SELECT pg_sleep(60)"))

    app = make_app(slow, database_url=another_database_url, statement_timeout_ms=50)
    check_unavailable(Api(app).post("slow"))


@on_postgresql
def test_a_database_that_is_read_only_is_503_for_writes_alone(
    fragile: Api, superuser: psycopg.Connection, another_database_url: str
) -> None:
    editor, name = fragile.sign_up("editor"), name_of(another_database_url)
    superuser.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    end_sessions(superuser, another_database_url)
    fragile.get("products", status=200)
    check_unavailable(fragile.post("products", MUG, by=editor))

    superuser.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    fragile.get("products", status=200)
    fragile.post("products", MUG, by=editor, status=201)  # on a session that was begun since


@on_sqlite
def test_a_file_that_another_writer_has_locked_is_503_for_writes_alone(
    fragile: Api, another_database_url: str
) -> None:
    editor, file = fragile.sign_up("editor"), another_database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        check_unavailable(fragile.post("products", MUG, by=editor))
        fragile.get("products", status=200)
        fragile.get("/health/ready", status=200)
    fragile.post("products", MUG, by=editor, status=201)


def test_wrong_sql_is_500_and_logged_as_a_defect(
    output: io.StringIO, lines: Lines, make_app: MakeApp
) -> None:
    wrong = Blueprint("wrong", __name__, url_prefix="/wrong", description="Has a defect.")

    @wrong.get("/<path:name>", access=public)
    @wrong.response(204)
    def read(name: str) -> None:
        """Fail."""
        db.session.execute(text(f"SELECT name FROM {name}"))

    with redirect_stdout(output):
        api = Api(make_app(wrong, log_level="ERROR"))
        check_problem(api.get("wrong/no_such_table"), "internal-error")
    (line,) = lines()
    assert (line["event"], line["level"]) == ("database_error", "error")
    assert "no_such_table" in line["exception"]


def test_a_failed_write_leaves_no_transaction_behind(app: Flask, api: Api, editor: Caller) -> None:
    api.post("products", MUG, by=editor, status=201)
    api.post("products", MUG, by=editor, status=409)
    with app.app_context():
        assert db.engine.pool.checkedout() == 0
    api.post("products", MUG | {"sku": "MUG-2"}, by=editor, status=201)

"""The service under test on SQLite and PostgreSQL, migrated; each worker has its own databases."""

import tests.features  # noqa: F401 - grants permissions, before schemas enumerate them

# isort: split
import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
import structlog
from flask import Flask
from flask_migrate import upgrade

from app import create_app
from app.auth import login_throttle, signing_keys
from app.config import Settings
from app.core.resources.blueprint import Blueprint
from app.core.security.authorization import public
from app.core.web.flask_app import FlaskApp
from app.extensions import cache, db, limiter
from app.users import passwords
from tests import pooler, rows, stack_proxy
from tests.api import FAST_HASHER, Api, Caller
from tests.executed import statements as statements
from tests.features import WITH_FEATURES_OF_TESTS, as_feature
from tests.garbage_collection import pytest_collection as pytest_collection
from tests.isolation import IsolatedClient, IsolatedCliRunner
from tests.marks import not_counted
from tests.marks import pytest_runtest_protocol as pytest_runtest_protocol
from tests.session_servers import new_database as new_database
from tests.session_servers import own_server as own_server
from tests.session_servers import pytest_collection_modifyitems as pytest_collection_modifyitems
from tests.session_servers import pytest_configure as pytest_configure
from tests.session_servers import pytest_configure_node as pytest_configure_node
from tests.session_servers import pytest_terminal_summary as pytest_terminal_summary
from tests.session_servers import pytest_unconfigure as pytest_unconfigure
from tests.session_servers import server_url as server_url
from tests.session_servers import skip_or_fail as skip_or_fail
from tests.url_rules import Rule


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis for one test."""
    with own_server("redis") as url:
        yield url


multiprocessing.set_start_method("fork")  # for `live_server`; not the default in Python 3.14
FlaskApp.test_client_class = IsolatedClient
FlaskApp.test_cli_runner_class = IsolatedCliRunner
FlaskApp.url_rule_class = Rule


@pytest.fixture(scope="session", params=["stack"] if stack_proxy.URL else ["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The database of this worker."""
    with new_database(request, request.param, tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture
def another_database_url(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[str]:
    """An empty database of the same kind for one test."""
    with new_database(request, database_url.partition(":")[0], tmp_path) as url:
        yield url


# For tests that concern one of the two databases.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture(scope="session")
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings for tests with high rate limits and a signing key for each algorithm."""
    high_limit = "100000 per minute"
    key_file = stack_proxy.JWT_KEYS or str(tmp_path_factory.mktemp("keys") / "keys.json")
    if not stack_proxy.URL:
        signing_keys.write_file(
            key_file, [signing_keys.generate(algorithm) for algorithm in signing_keys.KEY_TYPES]
        )
    return Settings(
        app_env="testing",
        secret_key=stack_proxy.SECRET_KEY or "not a secret, but long enough for tests",
        jwt_keys=key_file,
        auth_cookies=True,
        database_url=database_url,
        database_pooler=pooler.ON and database_url.startswith("postgresql"),
        cache_dir=str(tmp_path_factory.mktemp("cache")),
        rate_limit=high_limit,
        login_rate_limit=high_limit,
        register_rate_limit=high_limit,
        mail_rate_limit=high_limit,
        bulk_rate_limit=high_limit,
        log_level="ERROR",
    )


@pytest.fixture(scope="session")
def service(settings: Settings) -> Iterator[Flask]:
    """The application with a migrated database and the features of tests."""
    app = create_app(settings, features=WITH_FEATURES_OF_TESTS)
    migrate_to_head(app)
    os.register_at_fork(after_in_child=partial(forget_connections, app))  # for `live_server`
    if stack_proxy.URL:
        app.wsgi_app = stack_proxy.forward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", FAST_HASHER)
        yield app
    dispose(app)


SHIPPED_HASHER = passwords._hasher


@pytest.fixture
def shipped_hasher(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hash passwords as the service does, for tests of the hashes and of their time."""
    monkeypatch.setattr(passwords, "_hasher", SHIPPED_HASHER)
    passwords._dummy_hash.cache_clear()
    yield
    passwords._dummy_hash.cache_clear()


def migrate_to_head(app: Flask) -> None:
    """Run all migrations, including those of the features of tests."""
    if not app.config["DATABASE_POOLER"]:
        with app.app_context():
            upgrade()
        return
    url = pooler.url_without_pooler(app.config["DATABASE_URL"])
    settings = Settings(app_env="testing", secret_key="x" * 32, database_url=url)
    direct = create_app(settings, features=WITH_FEATURES_OF_TESTS)
    with direct.app_context():
        upgrade()
    dispose(direct)


def dispose(app: Flask) -> None:
    """Stop the jobs of an application and close its connections."""
    app.extensions["jobs"].stop()
    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


def forget_connections(app: Flask) -> None:
    """Drop inherited connections without closing them; the parent process uses them."""
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)


# The storage of the limits starts a thread at nearly each request, unless the last one still waits.
IDLE_TIMER = Timer(10**6, lambda: None)
IDLE_TIMER.daemon = True
IDLE_TIMER.start()


@pytest.fixture
def app(service: Flask) -> Iterator[Flask]:
    """The application; tables, limits and cache are emptied after the test."""
    vars(limiter.storage)["timer"] = IDLE_TIMER
    yield service
    service.config["SERVER_NAME"] = None  # `live_server` does not restore it
    with service.app_context():
        rows.empty_tables()
        limiter.reset()
        cache.clear()


@pytest.fixture
def frozen_throttle_clock() -> Iterator[None]:
    """Stop the clock of the login throttle, so that waits do not depend on the test's speed."""
    moment = login_throttle.now()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(login_throttle, "now", lambda: moment)
        yield


MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(app: Flask, settings: Settings) -> Iterator[MakeApp]:
    """`make_app(rate_limit="2 per second")` creates another application on the same database.

    Limiter and logging are global; they belong to the latest application until the test ends.
    """
    logs = structlog.get_config()
    made = []

    def make(*also: Blueprint, **changes: Any) -> Flask:
        limiter._storage_options = {}
        features = (*WITH_FEATURES_OF_TESTS, as_feature(*also))
        with not_counted():  # four times as fast; other tests create applications as well
            made.append(create_app(replace(settings, **changes), features=features))
        return made[-1]

    yield make
    for each in made:
        dispose(each)
    limiter.init_app(app)
    structlog.configure(**logs)


@pytest.fixture
def api(app: Flask) -> Api:
    """Calls the application."""
    return Api(app)


@pytest.fixture
def user(api: Api) -> Caller:
    return api.sign_up("user")


@pytest.fixture
def other(api: Api) -> Caller:
    """Another user of the same role as `user`."""
    return api.sign_up("user")


@pytest.fixture
def editor(api: Api) -> Caller:
    return api.sign_up("editor")


@pytest.fixture
def admin(api: Api) -> Caller:
    return api.sign_up("admin")


Counter = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture
def queries(app: Flask) -> Counter:
    """`with queries() as sent:` collects the SQL statements executed in the block."""
    return partial(statements, app)


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def output() -> io.StringIO:
    """The standard output of the application."""
    return io.StringIO()


@pytest.fixture
def lines(output: io.StringIO) -> Lines:
    """`lines()` is the list of log lines since the last call."""

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in output.getvalue().splitlines()]
        assert all(isinstance(line, dict) for line in found)
        output.seek(0)
        output.truncate()
        return found

    return read


@pytest.fixture
def logged(output: io.StringIO, make_app: MakeApp) -> Api:
    """An application with the logging of production and a failing route below /odd."""
    odd = Blueprint("odd", __name__, url_prefix="/odd", description="Fails.")

    @odd.get("/<path:name>", access=public)
    @odd.response(204)
    def fail(name: str) -> None:
        """Fail."""
        raise RuntimeError(name)

    with redirect_stdout(output):
        return Api(make_app(odd, log_level="INFO"))

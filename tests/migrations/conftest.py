"""Fixtures of the tests of migrations."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask

from tests.conftest import MakeApp
from tests.migrations.schemas import ROOT, Flask_


@pytest.fixture
def new_app(make_app: MakeApp, another_database_url: str) -> Flask:
    """The application on an empty database of its own."""
    return make_app(database_url=another_database_url, lock_timeout_ms=50)


@pytest.fixture
def flask(another_database_url: str) -> Iterator[Flask_]:
    """`flask("db", "upgrade")` starts the command in a process of its own, on the new database."""
    environ = os.environ | {
        "APP_ENV": "testing",
        "SECRET_KEY": "not a secret, but long enough for tests",
        "DATABASE_URL": another_database_url,
        "LOCK_TIMEOUT_MS": "50",
    }
    with ExitStack() as running:

        def start(*arguments: str, **more: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "flask", "--app", "tests.wsgi", *arguments]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(command, cwd=ROOT, env=environ | more, text=True, **pipes)
            running.callback(process.kill)
            return running.enter_context(process)

        yield start

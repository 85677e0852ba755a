"""Clients whose requests and commands share no context with the test."""

from contextvars import Context
from typing import Any

from flask.testing import FlaskClient, FlaskCliRunner


class IsolatedClient(FlaskClient):
    """A test client that handles each request in a context of its own, as a server does.

    pytest-flask pushes a request context for each test. Flask would take its application context
    for the requests of the test as well, so that they shared `g` and the database session.
    """

    def run_wsgi_app(self, *args: Any, **kwargs: Any) -> Any:
        return Context().run(super().run_wsgi_app, *args, **kwargs)


class IsolatedCliRunner(FlaskCliRunner):
    """The same for commands."""

    def invoke(self, *args: Any, **kwargs: Any) -> Any:
        return Context().run(super().invoke, *args, **kwargs)

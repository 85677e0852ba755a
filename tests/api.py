"""Calls of the service for tests: `Api` sends requests as a caller and checks the status."""

import itertools
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, insert
from werkzeug.test import TestResponse

from app.auth.models import Session
from app.auth.tokens import issue_access_token
from app.core.database.ids import uuid7
from app.core.database.types import now
from app.extensions import db
from app.users import passwords
from app.users.models import User

PASSWORD = "correct horse battery staple"
# As fast as argon2 can be; the fixture `service` makes it the hasher of the application.
FAST_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
hash_once = cache(PasswordHasher.hash)
PASSWORD_HASH = hash_once(FAST_HASHER, PASSWORD)
_numbers = itertools.count(1)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Caller:
    """A user with a session."""

    id: UUID
    email: str
    role: str
    headers: dict[str, str]


class Api:
    """Calls one application over its WSGI interface.

    `api.get("notes", by=user, status=200)`: paths are below /api/v1 unless they begin with a slash.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app

    def sign_up(self, role: str = "user") -> Caller:
        """A new user of this role with a session; the password hash is computed only once."""
        caller = Caller(uuid7(), f"user{next(_numbers)}@example.com", role, {})
        values = {"id": caller.id, "email": caller.email, "name": "Test", "role": role}
        values["password_hash"] = hash_once(passwords._hasher, PASSWORD)
        with self.app.app_context(), db.engine.begin() as connection:
            connection.execute(insert(User), values)
            return _with_session(caller, connection)

    def sign_in(self, caller: Caller) -> Caller:
        """The same user in a new session."""
        with self.app.app_context(), db.engine.begin() as connection:
            return _with_session(caller, connection)

    def client(self) -> FlaskClient:
        """A new client, so that requests share no cookies."""
        return self.app.test_client()

    def call(
        self,
        method: str,
        path: str,
        *,
        by: Caller | None = None,
        status: int | None = None,
        headers: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> TestResponse:
        """The response to one request, after its jobs have run; `status` is checked if given."""
        url = path if path.startswith("/") else f"/api/v1/{path}"
        sent = {**(by.headers if by else {}), **(headers or {})}
        response = self.client().open(url, method=method, headers=sent, buffered=True, **kwargs)
        if "jobs" in self.app.extensions:  # the jobs run in this process
            self.app.extensions["jobs"].drain()
        if status is not None:
            assert response.status_code == status, (method, url, response.status, response.text)
        return response

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.call("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("POST", path, json=json, **kwargs)

    def put(self, path: str, json: Any = None, **kwargs: Any) -> TestResponse:
        return self.call("PUT", path, json=json, **kwargs)

    def patch(
        self, path: str, json: Any = None, *, etag: str | None = "*", **kwargs: Any
    ) -> TestResponse:
        return self.call("PATCH", path, json=json, **_with_if_match(etag, kwargs))

    def delete(self, path: str, *, etag: str | None = "*", **kwargs: Any) -> TestResponse:
        return self.call("DELETE", path, **_with_if_match(etag, kwargs))


def _with_session(caller: Caller, connection: Connection) -> Caller:
    """The same user in a new session."""
    session = Session(id=uuid7(), owner_id=caller.id)
    values = {"id": session.id, "owner_id": caller.id, "refresh_token_hash": b""}
    connection.execute(insert(Session), {**values, "expires_at": now() + timedelta(days=1)})
    return replace(caller, headers=bearer(issue_access_token(session, caller.role)))


def _with_if_match(etag: str | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    if etag is None:
        return kwargs
    return {**kwargs, "headers": {"If-Match": etag, **kwargs.pop("headers", {})}}


def unique_value(example: Any) -> Any:
    """The value of an example with an unused number at the end of a name."""
    if not isinstance(example, str) or _UUID.fullmatch(example):
        return example
    return re.sub(
        r"(?<=[a-zA-Z])(-?)(\d+)(?=$|@)",
        lambda old: f"{old[1]}{next(_numbers):0{len(old[2])}d}",
        example,
    )


def run_command(app: Flask, *arguments: str, fails: bool = False, **kwargs: Any) -> Result:
    """The result of a command that must succeed, or fail with an error message in the last line."""
    result = app.test_cli_runner().invoke(args=arguments, **kwargs)
    if fails:
        assert result.exit_code == 1, result.output
        assert result.output.splitlines()[-1].startswith("Error: ")
    else:
        assert result.exit_code == 0, result.output
    return result


def bearer(token: str) -> dict[str, str]:
    """The Authorization header with a token."""
    return {"Authorization": f"Bearer {token}"}


def comparable_response(response: TestResponse) -> tuple[Any, ...]:
    """All parts of an error response by which a caller can distinguish it from others."""
    body = {k: v for k, v in response.json.items() if k not in ("instance", "request_id")}
    headers = response.headers
    return response.status_code, body, headers.get("WWW-Authenticate"), sorted(headers.keys())


def error_locations(response: TestResponse) -> set[str]:
    """The pointers and parameters of the errors in a problem."""
    return {place.get("pointer") or place["parameter"] for place in response.json["errors"]}

"""Routes that issue or restore credentials ignore attached credentials (`no_auth`)."""

from typing import Any

import pytest
from flask import Flask

from app.auth.jwt_manager import LEEWAY
from tests.api import PASSWORD, Api, Caller, bearer, unique_value
from tests.auth.forged_tokens import Forge, seconds
from tests.conftest import MakeApp, on_sqlite
from tests.contract.operations import OPERATIONS

Headers = dict[str, str]


INVALID = {"garbage": bearer("x.y.z"), "an unknown API key": bearer("key_" + "A" * 64)}


def headers_of(kind: str, app: Flask, user: Caller) -> Headers:
    if kind == "an expired token":
        return bearer(Forge(app, user).token(exp=seconds() - LEEWAY - 1))
    return INVALID[kind]


kinds = pytest.mark.parametrize("kind", ["an expired token", *INVALID])


def account(user: Caller) -> dict[str, str]:
    return {"email": user.email, "password": PASSWORD}


def test_no_auth_routes_are_those_that_issue_or_restore_credentials() -> None:
    no_auth = [o for o in OPERATIONS if o.access.name == "no_auth"]
    own = [o for o in no_auth if o.endpoint.startswith(("auth.", "users."))]
    rules = {o.rule.removeprefix("/api/v1") for o in own}
    assert rules == {
        "/auth/login",
        "/auth/refresh",
        "/auth/cookies",
        "/auth/cookies/refresh",
        "/auth/password/forgot",
        "/auth/password/reset",
        "/auth/email/verify",
        "/auth/email/change/confirm",
        "/users",
    }


@kinds
def test_login_and_refresh_work_with_invalid_credentials_attached(
    api: Api, app: Flask, user: Caller, kind: str
) -> None:
    headers = headers_of(kind, app, user)
    api.get("users/me", headers=headers, status=401)
    tokens = api.post("auth/login", account(user), headers=headers, status=200).json
    body = {"refresh_token": tokens["refresh_token"]}
    api.post("auth/refresh", body, headers=headers, status=200)


@kinds
def test_registration_works_with_invalid_credentials_attached(
    api: Api, app: Flask, user: Caller, kind: str
) -> None:
    body = {"email": unique_value("new1@example.com"), "name": "New", "password": PASSWORD}
    api.post("users", body, headers=headers_of(kind, app, user), status=201)


@kinds
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("auth/password/forgot", {"email": "nobody@example.com"}, 202),
        ("auth/password/reset", {"token": "A" * 43, "new_password": PASSWORD}, 401),
        ("auth/email/verify", {"token": "A" * 43}, 401),
    ],
)
def test_recovery_routes_ignore_invalid_credentials(
    api: Api, app: Flask, user: Caller, kind: str, path: str, body: Any, status: int
) -> None:
    response = api.post(path, body, headers=headers_of(kind, app, user), status=status)
    assert "error=" not in response.headers.get("WWW-Authenticate", "")


@on_sqlite
def test_rate_limit_of_login_counts_by_address_with_any_credentials_attached(
    make_app: MakeApp, user: Caller, other: Caller
) -> None:
    api = Api(make_app(login_rate_limit="2 per hour"))
    wrong = {"password": "not the password"}
    api.post("auth/login", account(user) | wrong, by=user, status=401)
    api.post("auth/login", account(other) | wrong, by=other, status=401)
    api.post("auth/login", account(user), by=user, status=429)
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.77"}}
    api.post("auth/login", account(user), by=user, status=200, **elsewhere)

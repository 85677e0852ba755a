"""Requests to log in and to refresh tokens, and the claims of the tokens."""

from typing import Any
from uuid import UUID

import jwt
from flask import Flask
from werkzeug.test import TestResponse

from tests.api import PASSWORD, Api


def log_in(api: Api, email: str, password: str = PASSWORD, **kwargs: Any) -> TestResponse:
    """The response of a login; `status=` checks its status."""
    return api.post("auth/login", {"email": email, "password": password}, **kwargs)


def refresh(api: Api, tokens: TestResponse | str, **kwargs: Any) -> TestResponse:
    """Exchange a refresh token, or that of the response of a login or refresh."""
    token = tokens if isinstance(tokens, str) else tokens.json["refresh_token"]
    return api.post("auth/refresh", {"refresh_token": token}, **kwargs)


def claims_of(app: Flask, tokens: TestResponse) -> dict[str, Any]:
    """The claims of the access token in the response of a login or refresh."""
    claims: dict[str, Any] = jwt.decode(
        tokens.json["access_token"],
        app.config["JWT_SECRET_KEY"],
        algorithms=["HS256"],
        audience=app.config["TOKEN_AUDIENCE"],
    )
    return claims


def session_of(app: Flask, tokens: TestResponse) -> UUID:
    """The id of the session in the response of a login or refresh."""
    return UUID(claims_of(app, tokens)["sid"])

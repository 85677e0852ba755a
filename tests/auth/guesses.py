"""Logins with wrong passwords, and the counters of the throttle."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.auth.login_throttle import LoginAttempts
from app.extensions import db
from tests import rows
from tests.api import PASSWORD, Api

HOME, OFFICE = "192.0.2.10", "198.51.100.20"

WRONG = "not the password"


def log_in(
    api: Api, email: str, password: str = PASSWORD, address: str = HOME, **kwargs: Any
) -> TestResponse:
    body = {"email": email, "password": password}
    return api.post("auth/login", body, environ_overrides={"REMOTE_ADDR": address}, **kwargs)


def guess(api: Api, email: str, times: int, address: str = HOME) -> list[int]:
    return [log_in(api, email, WRONG, address).status_code for _ in range(times)]


def many_addresses() -> Iterator[str]:
    """Addresses of many networks."""
    return (f"203.0.{n // 250}.{n % 250 + 1}" for n in range(10_000))


def age_counters(app: Flask, by: timedelta) -> None:
    """Move all times of the counters into the past."""
    with app.app_context():
        for row in db.session.scalars(select(LoginAttempts)).all():
            row.retry_at -= by
            row.trusted_until -= by
            row.expires_at -= by
        db.session.commit()


def failures(app: Flask, address: str) -> list[int]:
    return rows.read(app, LoginAttempts.failures, ip_address=address)

"""State of the core for one application: one typed object in `app.extensions["core"]`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flask import Flask, current_app
from limits import RateLimitItem
from limits.strategies import RateLimiter

from app.core.web.redis_connection import ThreadLocalRedis

NAME = "core"  # in `app.extensions`


class EndpointLimits(NamedTuple):
    """The limits of flask-limiter for an endpoint."""

    is_exempt: bool  # from the general limit, by `limiter.exempt`
    needs_hook: bool  # it has limits that flask-limiter counts before the view, a blueprint's


@dataclass(slots=True)
class AppState:
    """The state of the core for one application."""

    # `Any` is a class of a higher layer, which this module must not import.

    load_caller: Callable[[], Any] = field(init=False)  # returns a `Caller`; may raise a `Problem`
    session_is_valid: Any = None  # the SQL condition under which a caller's session is valid
    session_is_recent: Any = None  # and that under which its login is after `recent_since`
    rate_limit_key: Callable[[], str] = field(init=False)  # of the client of the current request
    identify_limited_request: Callable[[], str] = field(init=False)  # called by flask-limiter
    rate_limiter: RateLimiter | None = None  # None where limits are switched off
    exhausted_until: dict[str, float] = field(default_factory=dict)  # by key, of `time.time()`
    general_limits: list[RateLimitItem] = field(default_factory=list)  # of every request
    limited_endpoints: dict[str | None, EndpointLimits] = field(default_factory=dict)
    redis: ThreadLocalRedis | None = None  # of the cache; None where it is in files
    derived_keys: dict[str, bytes] = field(default_factory=dict)  # by purpose
    openapi_document: dict[str, Any] | None = None  # once it has been requested


def init_app_state(app: Flask) -> AppState:
    """Return the state of an application, which is created at the first call."""
    state: AppState = app.extensions.setdefault(NAME, AppState())
    return state


def app_state() -> AppState:
    """Return the state of the current application."""
    # As in `request_state`.
    state: AppState = current_app._get_current_object().extensions[NAME]  # type: ignore[attr-defined]
    return state

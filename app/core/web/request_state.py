"""State of the current request: one typed object on `flask.g`.

Outside of requests, in commands and jobs, it belongs to the application context as `flask.g` does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Request, g, request
from limits import RateLimitItem


@dataclass(slots=True)
class RateLimitStatus:
    """The state of one rate limit after the current request."""

    name: str  # "default" for the general limit, else the name of the view
    limit: RateLimitItem
    remaining: int
    seconds_left: int  # until more remains
    exceeded: bool


@dataclass(slots=True)
class RequestState:
    """The state of one request."""

    # `Any` is a class of a module that imports this one.

    request_id: str | None = None
    stats: Any = None  # `app.telemetry.request_log.RequestStats`
    caller: Any = None  # `app.core.security.authorization.Caller`, once it has been loaded
    caller_error: Exception | None = None  # why it could not be loaded
    precondition: Any = None  # `app.core.web.etags.Precondition`, once it has been parsed
    cookie_is_dead: bool = False  # the credentials in cookies are not valid any more
    caller_is_from_cookie: bool = False
    session_is_valid: bool = False  # checked by a separate statement
    rate_limit_windows: dict[str, Any] = field(default_factory=dict)  # by the storage's key
    has_own_limits: bool = False  # flask-limiter has counted it
    rate_limits: list[RateLimitStatus] = field(default_factory=list)  # the general limit's
    callbacks: list[Callable[[], None]] = field(default_factory=list)  # run after the commit
    pending_changes: list[Any] | None = None  # of a batch; None outside of batches


def current_request() -> Request:
    """The request itself, for what runs on every one: a look through the proxy takes 1.5 µs."""
    current: Request = request._get_current_object()  # type: ignore[attr-defined]
    return current


def request_state() -> RequestState:
    """The state of the current request or application context; a new one at the first call."""
    # A dozen calls a request; as in `current_request`.
    context = g._get_current_object()
    try:
        state: RequestState = context.state
    except AttributeError:
        state = context.state = RequestState()
    return state

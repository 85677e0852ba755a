"""Rate limits: one general limit on every request, and limits of single routes.

flask-limiter declares the limits of routes (`@limiter.limit`, `@limiter.exempt`). The general limit
is counted here with the library `limits`.

The header fields follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` has the quota `q`
and its window in seconds `w`, `RateLimit` what remains, `r`, and for how many seconds, `t`.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from flask import Flask, Request, current_app, request
from flask import Response as FlaskResponse
from flask_limiter import ExemptionScope
from limits import RateLimitItem, parse_many
from limits.strategies import RateLimiter

from app.core.web.app_state import AppState, EndpointLimits, app_state, init_app_state
from app.core.web.cors import is_preflight
from app.core.web.flask_app import Response
from app.core.web.problems import INSUFFICIENT_AUTHENTICATION, Problem
from app.core.web.redis_connection import redis_options
from app.core.web.redis_window import SlidingWindowStorage
from app.core.web.request_state import RateLimitStatus, current_request, request_state
from app.extensions import limiter

MAX_EXHAUSTED = 10_000  # keys that `is_exhausted` knows


class FailureLimit(str):
    """A limit, or the name of its setting, that counts responses of 400 and above only."""

    __slots__ = ()


def is_failure(response: FlaskResponse) -> bool:
    """Whether a response counts for a `FailureLimit`."""
    # A login that waits for its second factor is no failure.
    challenge = response.headers.get("WWW-Authenticate", "")
    return response.status_code >= 400 and INSUFFICIENT_AUTHENTICATION not in challenge


def init_app(app: Flask, settings: Any, *, key_func: Callable[[], str]) -> None:
    """Limit every request; counted in Redis by all workers together, without Redis by each worker.

    Args:
        app: the application.
        settings: its settings.
        key_func: returns the key by which the current request is counted.
    """
    uri = f"counted+{settings.redis_url}" if settings.redis_url else "memory://"
    app.config["RATELIMIT_STORAGE_URI"] = uri
    app.config["RATELIMIT_STORAGE_OPTIONS"] = redis_options(settings) if settings.redis_url else {}
    state = init_app_state(app)
    state.rate_limit_key, state.identify_limited_request = key_func, _identify_limited_request
    state.general_limits = sorted(parse_many(settings.rate_limit))
    hooks = _LimiterHooks(app)
    limiter.init_app(cast(Flask, hooks))
    app.before_request(partial(_count_request, hooks))
    app.after_request(partial(_finish_request, hooks))
    state.rate_limiter = limiter.limiter if limiter.enabled else None


def is_fallback_active() -> bool:
    """Return whether this process counts in memory because Redis is unreachable."""
    strategy = app_state().rate_limiter
    storage = strategy and strategy.storage
    return isinstance(storage, SlidingWindowStorage) and storage.fallback_active


def current_limits() -> list[RateLimitStatus]:
    """Return the limits that count for the current request: the route's own, or the general one."""
    state = request_state()
    if not state.has_own_limits:
        return state.rate_limits
    return [
        RateLimitStatus(
            name=(request.endpoint or "").rpartition(".")[2],
            limit=one.limit,
            remaining=max(0, one.remaining),
            seconds_left=_seconds_left(one.limit, one.reset_at),
            exceeded=one.breached,
        )
        for one in limiter.current_limits
    ]


class _LimiterHooks:
    """The part of an application with which flask-limiter registers its hooks.

    They are called only on requests with limits of flask-limiter.
    """

    # On all other requests they would do nothing, at 8 % of the cost of a read.

    def __init__(self, app: Flask) -> None:
        self.config, self.extensions = app.config, app.extensions
        self.check: Callable[[], None] = lambda: None
        self.finish: Callable[[Response], Response] = lambda response: response

    def before_request(self, check: Callable[[], None]) -> None:
        """Keep the hook that counts the limits of blueprints."""
        self.check = check

    def after_request(self, finish: Callable[[Response], Response]) -> None:
        """Keep the hook that counts what depends on the response (`deduct_when`)."""
        self.finish = finish

    def teardown_request(self, _: Callable[..., None]) -> None:
        """Keep nothing: the hook clears a state that ends with the request."""


def _identify_limited_request() -> str:
    """The route of the request, for which flask-limiter asks before it counts one."""
    request_state().has_own_limits = True
    return request.endpoint or ""


def _count_request(hooks: _LimiterHooks) -> None:
    """Count the request against the general limit, and the limits of its blueprint.

    Raises:
        Problem: 429, the limit is exceeded.
    """
    app = app_state()
    strategy = app.rate_limiter
    if not strategy or not limiter.enabled:
        return
    http = current_request()
    limits = _endpoint_limits(app, http)
    if not limits.is_exempt and not is_preflight(http):
        _count_general_limits(app, strategy)
    if limits.needs_hook:
        hooks.check()


def _count_general_limits(app: AppState, strategy: RateLimiter) -> None:
    counted, key = request_state().rate_limits, app.rate_limit_key()
    # flask-limiter would need a second round trip to report what remains:
    # docs/decisions.md#44-rate-limits
    for limit in app.general_limits:
        allowed = strategy.hit(limit, key, "general")
        reset_time, remaining = strategy.get_window_stats(limit, key, "general")
        seconds_left = _seconds_left(limit, int(reset_time + 1))
        counted.append(
            RateLimitStatus("default", limit, remaining, seconds_left, exceeded=not allowed)
        )
        _note_exhaustion(app, key, seconds_left if remaining == 0 else 0)
        if not allowed:
            raise Problem("too-many-requests")


def _note_exhaustion(app: AppState, key: str, seconds: int) -> None:
    if not seconds:
        app.exhausted_until.pop(key, None)
        return
    if len(app.exhausted_until) >= MAX_EXHAUSTED:
        app.exhausted_until.clear()
    app.exhausted_until[key] = time.time() + seconds


def is_exhausted(key: str) -> bool:
    """Whether the last request that this process counted by a key has left nothing of its quota."""
    # In memory, so that no request costs a second round trip.
    return app_state().exhausted_until.get(key, 0) > time.time()


def _endpoint_limits(app: AppState, http: Request) -> EndpointLimits:
    endpoint = http.endpoint
    limits = app.limited_endpoints.get(endpoint)
    if limits is None:
        manager, where = limiter.limit_manager, (endpoint, http.blueprint)
        scope = manager.exemption_scope(current_app, *where)
        in_hook = manager.resolve_limits(current_app, *where, in_middleware=True)
        limits = EndpointLimits(bool(scope & ExemptionScope.APPLICATION), needs_hook=any(in_hook))
        app.limited_endpoints[endpoint] = limits
    return limits


def _seconds_left(limit: RateLimitItem, reset_at: int) -> int:
    return min(max(0, math.ceil(reset_at - time.time())), limit.get_expiry())


def _finish_request(hooks: _LimiterHooks, response: Response) -> Response:
    """Count what depends on the response, then set the header fields."""
    if request_state().has_own_limits:
        response = hooks.finish(response)
    limits = current_limits()
    if not limits:
        return response
    response.headers["RateLimit-Policy"] = ", ".join(
        f'"{one.name}";q={one.limit.amount};w={one.limit.get_expiry()}' for one in limits
    )
    response.headers["RateLimit"] = ", ".join(
        f'"{one.name}";r={one.remaining};t={one.seconds_left}' for one in limits
    )
    if response.status_code == 429:
        wait = max((one.seconds_left for one in limits if one.exceeded), default=1)
        response.headers.setdefault("Retry-After", str(max(1, wait)))
    return response

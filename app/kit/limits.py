"""Rate limits: who is counted, and the header fields that say so, made in this one place.

The fields follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` tells a quota (`q`) and
its window in seconds (`w`), `RateLimit` what remains of it (`r`) and for how long (`t`).
"""

import math
import time
from typing import Any

from flask import Flask, Response, current_app, request
from flask_limiter import RequestLimit
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.extensions import limiter
from app.kit.access import known_caller


def redis_options(settings: Any) -> dict[str, Any]:
    """Connection options under which a Redis that is gone or hangs costs one short wait."""
    seconds = settings.redis_timeout_ms / 1000
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
    }


def init_app(app: Flask, settings: Any) -> None:
    """Limit every request; counted in Redis over all workers, else (also when it fails) in each."""
    app.config |= {
        # Read per request: the limiter keeps what it is told first, whichever application asks.
        "RATELIMIT_APPLICATION": lambda: current_app.config["RATE_LIMIT"],
        "RATELIMIT_STORAGE_URI": settings.redis_url or "memory://",
        "RATELIMIT_STORAGE_OPTIONS": redis_options(settings) if settings.redis_url else {},
        # Another strategy must not meet the keys of this one: their Redis types differ.
        "RATELIMIT_KEY_PREFIX": "sliding-window-counter",
    }
    app.extensions["rate_limit_key"] = _key
    limiter.init_app(app)
    app.after_request(_announce)


def _key() -> str:
    """An API key, a user wherever they are, else the address: bad credentials count for that."""
    who = known_caller()
    if who.api_key_id:
        return f"key:{who.api_key_id}"
    return f"user:{who.id}" if who.id else f"address:{request.remote_addr}"


def _announce(response: Response) -> Response:
    limits: list[RequestLimit] = limiter.current_limits
    if not limits:
        return response
    try:
        states = [(name(limit), limit, _seconds_left(limit)) for limit in limits]
        policies = [f'"{n}";q={x.limit.amount};w={x.limit.get_expiry()}' for n, x, _ in states]
        remaining = [f'"{n}";r={max(0, x.remaining)};t={left}' for n, x, left in states]
    except Exception:  # the storage went away between the count and the question
        return response
    response.headers["RateLimit-Policy"] = ", ".join(policies)
    response.headers["RateLimit"] = ", ".join(remaining)
    if response.status_code == 429:
        wait = max((left for _, limit, left in states if limit.breached), default=1)
        response.headers.setdefault("Retry-After", str(max(1, wait)))
    return response


def name(limit: RequestLimit) -> str:
    """`default` for the limit on everything, else the name of the view that has its own."""
    return "default" if limit.shared else (request.endpoint or "").rpartition(".")[2]


def _seconds_left(limit: RequestLimit) -> int:
    left = math.ceil(limit.reset_at - time.time())
    return min(max(0, left), limit.limit.get_expiry())

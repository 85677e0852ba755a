"""Rate limits: who is counted, and the header fields that say so, made in this one place.

The fields follow draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` tells a quota (`q`) and
its window in seconds (`w`), `RateLimit` what remains of it (`r`) and for how long (`t`).
"""

import math
import time
from functools import cached_property
from hashlib import sha1
from typing import Any

from flask import Flask, current_app, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter._limits import RuntimeLimit
from flask_limiter._manager import LimitManager
from limits import RateLimitItem
from limits.storage import RedisStorage
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from app.core.security.authorization import current_caller_or_anonymous
from app.core.web.flask_app import Response
from app.core.web.redis_connection import ThreadLocalRedis
from app.core.web.request_state import request_state
from app.extensions import limiter

# Counts one request, if it may pass, and tells what the header fields say: see `OneTrip`.
_COUNT = """
local past, current = KEYS[1], KEYS[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
local left = redis.call('PTTL', current)
if left > 0 and left < window then  -- a count lives for two windows, the second as the past one
    left = left + window
    redis.call('RENAME', current, past)
    redis.call('SET', current, 0, 'PX', left)
end
local before = tonumber(redis.call('GET', past) or 0)
local before_left = math.max(0, redis.call('PTTL', past))
local count = left > 0 and tonumber(redis.call('GET', current) or 0) or 0
local passes = math.floor(before * before_left / window) + count < limit
if passes then
    count = count + 1
    left = left > 0 and left or 2 * window
    redis.call('SET', current, count, 'PX', left)
end
return {passes and 1 or 0, before, before_left, count, math.max(0, left)}
"""
_COUNT_HASH = sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()


class SingleRoundTripRedisStorage(RedisStorage):
    """The counters of `limits` in Redis, asked once a request in place of twice.

    The library has one script that counts a request and another that tells what remains. Ours
    does both, on the same keys, and what it told is kept until the request is answered.
    """

    STORAGE_SCHEME = ["redis", "rediss", "redis+unix"]

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count a request. One of ours costs 1, whatever the library would allow."""
        passes, *window = self.count(key, limit, expiry)
        request_state().rate_limit_windows[key] = tuple(window)
        return bool(passes)

    def count(self, key: str, limit: int, expiry: int) -> tuple[int, int, float, int, float]:
        """Count a request if it may pass; whether it may, and both windows as below."""
        keys = [
            self.prefixed_key(self._previous_window_key(key)),
            self.prefixed_key(self._current_window_key(key)),
        ]
        passes, before, before_left, count, left = self._run(*keys, limit, expiry)
        return passes, before, before_left / 1000, count, left / 1000

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The count and seconds left of the past window, and of the present one."""
        told: tuple[int, float, int, float] | None = request_state().rate_limit_windows.get(key)
        return told or super().get_sliding_window(key, expiry)

    @cached_property
    def _redis(self) -> ThreadLocalRedis:
        return ThreadLocalRedis(self.storage.connection_pool)

    def _run(self, *arguments: str | int) -> list[int]:
        try:
            answer: list[int] = self._redis.execute("EVALSHA", _COUNT_HASH, 2, *arguments)
        except NoScriptError:  # a Redis that was just started
            answer = self._redis.execute("EVAL", _COUNT, 2, *arguments)
        return answer


def redis_options(settings: Any) -> dict[str, Any]:
    """Connection options under which a Redis that is gone or hangs costs short waits."""
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
    app.extensions["limits_found"] = {}
    limiter.limit_manager.resolve_limits = _resolve  # type: ignore[method-assign, assignment]
    limiter._check_request_limit = _check  # type: ignore[method-assign]
    limiter.init_app(app)
    # It would set no header field, let no limit count afterwards, and clear what ends with the
    # request anyway.
    for hooks in (app.after_request_funcs[None], app.teardown_request_funcs[None]):
        hooks[:] = [hook for hook in hooks if not _is_of_library(hook)]
    app.after_request(_set_ratelimit_headers)


def _is_of_library(hook: Any) -> bool:
    return str(getattr(hook, "func", hook).__module__).startswith("flask_limiter")


def _resolve(app: Flask, *where: Any) -> tuple[list[RuntimeLimit], ...]:
    """The limits of a place, found out once an application: they are settings, and stay."""
    found: dict[Any, tuple[list[RuntimeLimit], ...]] = app.extensions["limits_found"]
    if where not in found:
        found[where] = LimitManager.resolve_limits(limiter.limit_manager, app, *where)
    return found[where]


def _check(callable_name: str | None = None, in_middleware: bool = True) -> None:
    """Count the request, as flask-limiter does.

    Nearly always one limit holds, the one on everything, and it is kept. Then all that the library
    does around the count, four times its work, is left out; every other case is its own.
    """
    state = request_state()
    state.general_limit = None
    if (
        in_middleware
        and not limiter._storage_dead
        and isinstance(limiter._storage, SingleRoundTripRedisStorage)
    ):
        endpoint, blueprint = limiter.identify_request(), request.blueprint
        on_everything, _ = _resolve(
            current_app._get_current_object(),  # type: ignore[attr-defined]
            endpoint,
            blueprint,
            None,
            True,
            True,
        )
        if len(on_everything) == 1:
            limit, scope = on_everything[0].limit, on_everything[0].scope_for(endpoint, None)
            key = limit.key_for(limiter._key_prefix, _key(), scope)
            try:
                passes, *windows = limiter._storage.count(key, limit.amount, limit.get_expiry())
            except RedisError as error:
                cause = type(error).__name__
                limiter.logger.warning("Limits are counted in memory, Redis is away: %s", cause)
                limiter._storage_dead = True  # so that the library does not wait for it again
            else:
                if passes:
                    state.general_limit = limit, windows
                    return
    Limiter._check_request_limit(limiter, callable_name, in_middleware)


def _key() -> str:
    """An API key, a user wherever they are, else the address: bad credentials count for that."""
    who = current_caller_or_anonymous()
    if who.api_key_id:
        return f"key:{who.api_key_id}"
    return f"user:{who.id}" if who.id else f"address:{request.remote_addr}"


def _set_ratelimit_headers(response: Response) -> Response:
    try:
        states = _window_stats()
    except Exception:  # the storage went away between the count and the question
        return response
    if not states:
        return response
    policies = [f'"{n}";q={limit.amount};w={limit.get_expiry()}' for n, limit, _, _ in states]
    remaining = [f'"{n}";r={left};t={seconds}' for n, _, left, seconds in states]
    response.headers["RateLimit-Policy"] = ", ".join(policies)
    response.headers["RateLimit"] = ", ".join(remaining)
    if response.status_code == 429:
        wait = max((_seconds_left(x) for x in limiter.current_limits if x.breached), default=1)
        response.headers.setdefault("Retry-After", str(max(1, wait)))
    return response


def _window_stats() -> list[tuple[str, RateLimitItem, int, int]]:
    """Of each limit that was counted its name, what remains and for how many seconds."""
    if counted := request_state().general_limit:
        limit, windows = counted
        return [("default", limit, *_left(limit.amount, limit.get_expiry(), *windows))]
    held: list[RequestLimit] = limiter.current_limits
    return [(limit_name(x), x.limit, max(0, x.remaining), _seconds_left(x)) for x in held]


def _left(amount: int, expiry: int, *windows: Any) -> tuple[int, int]:
    """What remains, and for how many seconds: as `limits` has it, of numbers that it would ask for.

    A past window counts less with each moment that passes, so it gives back one count at a time.
    """
    before, before_left, count, left = windows
    remaining = max(0, amount - math.floor(before * before_left / expiry + count))
    reset = min(
        before_left % (expiry / before) if before else math.inf,
        left % expiry if count else math.inf,
    )
    return remaining, min(math.floor(reset) + 1, expiry)


def limit_name(limit: RequestLimit) -> str:
    """`default` for the limit on everything, else the name of the view that has its own."""
    return "default" if limit.shared else (request.endpoint or "").rpartition(".")[2]


def _seconds_left(limit: RequestLimit) -> int:
    left = math.ceil(limit.reset_at - time.time())
    return min(max(0, left), limit.limit.get_expiry())

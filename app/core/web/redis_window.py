"""Storage of rate limits in Redis: one round trip counts a request and reports both windows.

It extends the storage of the library `limits` through its documented interface, under URL schemes
of its own. While Redis is unreachable it counts in the memory of this process.
"""

import threading
import time
from hashlib import sha1
from typing import Any

import structlog
from limits.storage import MemoryStorage, RedisStorage
from redis.exceptions import NoScriptError, RedisError

from app.core.web.redis_connection import ThreadLocalRedis
from app.core.web.request_state import request_state

log = structlog.get_logger()

Window = tuple[int, float, int, float]
"""Count and seconds left of the previous window, and the same of the current one."""

MAX_RETRY_INTERVAL = 32  # seconds between two attempts to reach Redis

# Counts a request of some cost if the limit allows it, and returns whether it did and the counts of
# both windows. A cost of 0 counts nothing.
_SCRIPT = """
local past, current = KEYS[1], KEYS[2]
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000, tonumber(ARGV[3])
local left = redis.call('PTTL', current)
if left > 0 and left < window then  -- a count lives for two windows, the second as the previous one
    left = left + window
    redis.call('RENAME', current, past)
    redis.call('SET', current, 0, 'PX', left)
end
local before = tonumber(redis.call('GET', past) or 0)
local before_left = math.max(0, redis.call('PTTL', past))
local count = left > 0 and tonumber(redis.call('GET', current) or 0) or 0
local allowed = math.floor(before * before_left / window) + count + cost <= limit
if allowed and cost > 0 then
    count = count + cost
    left = left > 0 and left or 2 * window
    redis.call('SET', current, count, 'PX', left)
end
return {allowed and 1 or 0, before, before_left, count, math.max(0, left)}
"""
_SCRIPT_HASH = sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()


class SlidingWindowStorage(RedisStorage):
    """Counters of the strategy "sliding-window-counter"."""

    STORAGE_SCHEME = ["counted+redis", "counted+rediss", "counted+unix"]

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri.removeprefix("counted+"), **options)
        self._redis = ThreadLocalRedis(self.storage.connection_pool)
        self._memory = MemoryStorage()
        self._lock = threading.Lock()
        self._retry_at, self._retry_interval = 0.0, 1
        self.fallback_active = False  # whether requests are counted in memory

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count a request that costs `amount`, if the limit allows it; return whether it does."""
        allowed, window = self._count(key, limit, expiry, amount)
        request_state().rate_limit_windows[key] = window
        return allowed

    def get_sliding_window(self, key: str, expiry: int) -> Window:
        """Return the windows of a key, as they were when this request was counted, or read now."""
        windows = request_state().rate_limit_windows
        if key not in windows:
            windows[key] = self._count(key, 0, expiry, 0)[1]
        window: Window = windows[key]
        return window

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Delete the counts of a key."""
        request_state().rate_limit_windows.pop(key, None)
        self._memory.clear_sliding_window(key, expiry)
        for stored in self._keys(key):
            self.get_connection().delete(stored)

    def _count(self, key: str, limit: int, expiry: int, amount: int) -> tuple[bool, Window]:
        if not self.fallback_active or self._is_retry_due():
            try:
                counted = self._count_in_redis(key, limit, expiry, amount)
            except RedisError as error:
                self._start_fallback(error)
            else:
                if self.fallback_active:
                    self.fallback_active = False
                    log.info("rate_limit_fallback_ended")
                return counted
        allowed = bool(amount) and self._memory.acquire_sliding_window_entry(
            key, limit, expiry, amount
        )
        return allowed, self._memory.get_sliding_window(key, expiry)

    def _count_in_redis(
        self, key: str, limit: int, expiry: int, amount: int
    ) -> tuple[bool, Window]:
        arguments = *self._keys(key), limit, expiry, amount
        try:
            reply = self._redis.execute("EVALSHA", _SCRIPT_HASH, 2, *arguments)
        except NoScriptError:  # Redis was restarted, or this is its first request
            reply = self._redis.execute("EVAL", _SCRIPT, 2, *arguments)
        allowed, before, before_left, count, left = reply
        # A full window of 2 n seconds would be read as "0 seconds left" modulo n.
        return bool(allowed), (before, before_left / 1000, count, max(0, left - 1) / 1000)

    def _keys(self, key: str) -> tuple[str, str]:
        """Return the keys of both windows, on one node of a cluster by their common hash tag."""
        tagged = self.prefixed_key(f"{{{key}}}")
        return f"{tagged}:past", f"{tagged}:now"

    def _is_retry_due(self) -> bool:
        """Return whether this request is the one that tries to reach Redis again."""
        with self._lock:
            if time.monotonic() < self._retry_at:
                return False
            self._retry_interval = min(2 * self._retry_interval, MAX_RETRY_INTERVAL)
            self._retry_at = time.monotonic() + self._retry_interval
            return True

    def _start_fallback(self, error: RedisError) -> None:
        with self._lock:
            if self.fallback_active:
                return
            self.fallback_active, self._retry_interval = True, 1
            self._retry_at = time.monotonic() + self._retry_interval
        log.warning("rate_limit_fallback_started", error=type(error).__name__)

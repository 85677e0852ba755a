"""The cache of all workers, by Flask-Caching: in Redis, or in files where there is no Redis.

The service works without it: an unreachable cache is logged and bypassed.
"""

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask
from redis import ConnectionPool

from app.core.web.app_state import app_state, init_app_state
from app.core.web.redis_connection import ThreadLocalRedis, redis_options
from app.extensions import cache

KEY_PREFIX = "cache:"

log = structlog.get_logger()


def init_app(app: Flask, settings: Any) -> None:
    """Configure Flask-Caching."""
    config: dict[str, Any] = {"CACHE_KEY_PREFIX": KEY_PREFIX}
    if settings.redis_url:
        pool = ConnectionPool.from_url(settings.redis_url, **redis_options(settings))
        init_app_state(app).redis = ThreadLocalRedis(pool)
        config |= {
            "CACHE_TYPE": "RedisCache",
            "CACHE_REDIS_URL": settings.redis_url,
            "CACHE_OPTIONS": redis_options(settings),
        }
    else:
        config |= {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": settings.cache_dir}
    cache.init_app(app, config=config)


def get_or_compute(key: str, seconds: int, compute: Callable[[], Any]) -> Any:
    """Return the cached value of a key; if there is none, compute and cache it for `seconds`."""
    try:
        value = cache.get(key)
    except Exception:
        # Without an attempt to store the value, which could wait for the same timeout again.
        log.warning("cache_unavailable", exc_info=True)
        return compute()
    if value is None:
        value = compute()
        _try(cache.set, key, value, timeout=seconds)
    return value


def invalidate(key: str) -> None:
    """Remove the cached value of a key."""
    # `cache.delete` takes 10 % of a create: docs/decisions.md#66-redis-connections
    if redis := app_state().redis:
        _try(redis.execute, "DEL", KEY_PREFIX + key)
    else:
        _try(cache.delete, key)


def _try(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        operation(*args, **kwargs)
    except Exception:
        log.warning("cache_unavailable", exc_info=True)

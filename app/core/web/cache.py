"""A cache that every worker shares: Redis, or files on the embedded default. It may be away."""

from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask

from app.core.web.rate_limit import redis_options
from app.extensions import cache

log = structlog.get_logger()


def init_app(app: Flask, settings: Any) -> None:
    """Connect the cache of this application."""
    config: dict[str, Any] = {"CACHE_KEY_PREFIX": "cache:"}
    if settings.redis_url:
        config |= {
            "CACHE_TYPE": "RedisCache",
            "CACHE_REDIS_URL": settings.redis_url,
        }
        config["CACHE_OPTIONS"] = redis_options(settings)
    else:
        config |= {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": settings.cache_dir}
    cache.init_app(app, config=config)


def get_or_compute(key: str, seconds: int, compute: Callable[[], Any]) -> Any:
    """The value kept under the key, else computed and kept for that long."""
    try:
        value = cache.get(key)
    except Exception:  # a cache that hangs is not waited for a second time, to store
        log.warning("cache_unavailable", exc_info=True)
        return compute()
    if value is None:
        value = compute()
        _try(cache.set, key, value, timeout=seconds)
    return value


def invalidate(key: str) -> None:
    """Drop the value kept under the key."""
    _try(cache.delete, key)


def _try(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        operation(*args, **kwargs)
    except Exception:
        log.warning("cache_unavailable", exc_info=True)

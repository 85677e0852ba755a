"""Connections to Redis: their options, and one per thread for the commands of the hot path.

docs/decisions.md#66-redis-connections
"""

import os
import threading
from typing import Any

from redis import ConnectionError as RedisConnectionError
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry


def redis_options(settings: Any) -> dict[str, Any]:
    """Return connection options that keep waits short when Redis is unreachable or hangs."""
    seconds = settings.redis_timeout_ms / 1000
    return {
        "socket_timeout": seconds,
        "socket_connect_timeout": seconds,
        "retry": Retry(NoBackoff(), 0),
    }


class ThreadLocalRedis:
    """Sends commands to Redis over one connection per thread."""

    # redis-py's pool and command layer cost as much CPU as the round trip itself.

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool, self._local = pool, threading.local()

    def execute(self, *command: str | int) -> Any:
        """Return the reply to a command.

        Raises:
            RedisError: as redis-py does. A connection that Redis has closed is noticed only when it
                is used, so it is opened a second time; after a timeout nothing is repeated.
        """
        try:
            return self._send(command)
        except RedisConnectionError:
            return self._send(command)

    def _send(self, command: tuple[str | int, ...]) -> Any:
        local = self._local
        if getattr(local, "pid", None) != os.getpid():  # a new thread, or a fork of its process
            local.pid = os.getpid()
            local.connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection = local.connection
        connection.send_packed_command(connection.pack_command(*command), check_health=False)
        return connection.read_response()

"""Redis without redis-py's pool and command layer, which cost as much as the round trip itself."""

import os
import threading
from typing import Any

from redis import ConnectionError as RedisConnectionError
from redis import ConnectionPool


class Direct:
    """Asks a Redis what every request asks, over a connection of each thread's own."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool, self._own = pool, threading.local()

    def ask(self, *command: str | int) -> Any:
        """The answer to a command.

        Raises:
            RedisError: as redis-py would. A connection that the server has closed meanwhile shows
                only in use, so it is opened once more; one that was waited for in vain is not.
        """
        try:
            return self._ask(command)
        except RedisConnectionError:
            return self._ask(command)

    def _ask(self, command: tuple[str | int, ...]) -> Any:
        if getattr(self._own, "pid", None) != os.getpid():  # new, or forked
            self._own.pid = os.getpid()
            self._own.connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection = self._own.connection
        connection.send_packed_command(connection.pack_command(*command), check_health=False)
        return connection.read_response()

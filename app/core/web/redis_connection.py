"""Redis without redis-py's pool and command layer, which cost as much as the round trip itself."""

import os
import threading
from contextlib import suppress
from typing import Any

from redis import ConnectionError as RedisConnectionError
from redis import ConnectionPool


class ThreadLocalRedis:
    """Asks a Redis what every request asks, over a connection of each thread's own."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool, self._own = pool, threading.local()

    def execute(self, *command: str | int) -> Any:
        """The answer to a command.

        Raises:
            RedisError: as redis-py would. A connection that the server has closed meanwhile shows
                only in use, so it is opened once more; one that was waited for in vain is not.
        """
        try:
            return self._ask(command)
        except RedisConnectionError:
            return self._ask(command)

    def execute_no_wait(self, *command: str | int) -> None:
        """Send a command, and do not wait for the answer: it is looked at before the next one.

        Redis answers when all that has reached it is done, in whatever order. So of whoever was
        answered something that they sent later, and a request's limit is counted first, it is seen.

        Raises:
            RedisError: it could not be sent, or the one before was answered with this.
        """
        connection = self._ready()
        try:
            connection.can_read()
        except RedisConnectionError:  # the server has closed it meanwhile
            connection.disconnect()
        self._send(connection, command)
        self._own.pending_reply = True

    def _ask(self, command: tuple[str | int, ...]) -> Any:
        connection = self._ready()
        self._send(connection, command)
        return connection.read_response()

    def _ready(self) -> Any:
        """The connection, which owes no answer any more."""
        if getattr(self._own, "pid", None) != os.getpid():  # new, or forked
            self._own.pid, self._own.pending_reply = os.getpid(), False
            self._own.connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection = self._own.connection
        if self._own.pending_reply:
            self._own.pending_reply = False
            with suppress(RedisConnectionError):  # closed, and opened again in use
                connection.read_response()
        return connection

    @staticmethod
    def _send(connection: Any, command: tuple[str | int, ...]) -> None:
        connection.send_packed_command(connection.pack_command(*command), check_health=False)

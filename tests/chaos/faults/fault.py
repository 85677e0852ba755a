"""A fault, and the time within which requests must be answered during it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.config import Settings
from app.core.database.engine import TIMEOUT_MARGIN
from tests.chaos.stack import Embedded, Stack

_DEFAULT = Settings()

BUSY = 5.0  # seconds that a busy machine may add to the timeouts

REDIS = 3 * _DEFAULT.redis_timeout_ms / 1000  # the limiter, the cache, and once more

LOCK = _DEFAULT.pool_timeout + _DEFAULT.lock_timeout_ms / 1000

# The longest path: wait for a connection, for a response on it, and for a new connection.
DATABASE = (
    _DEFAULT.pool_timeout
    + _DEFAULT.statement_timeout_ms / 1000
    + TIMEOUT_MARGIN
    + _DEFAULT.connect_timeout
)

BOOT = 25.0  # requests wait while both workers boot at the same time

THREADS = 4  # of a worker


@dataclass(frozen=True)
class Fault:
    """A fault, and its permitted effects on clients.

    Args:
        title: for the table.
        inject: causes and undoes it; returns the evidence that it happened.
        bound: seconds that the slowest response may take.
        refused: True: at least one response is 503; False: none is; None: some may be.
        failures: how many requests may fail.
        needs: the stack that it is injected into.
    """

    title: str
    inject: Callable[[Any], str]
    bound: float
    refused: bool | None = False
    failures: int = 0
    needs: type[Stack] | type[Embedded] = Stack


FAULTS: dict[str, Fault] = {}


def fault(title: str, bound: float = 0, **more: Any) -> Callable[[Any], Any]:
    def register(inject: Callable[[Any], str]) -> Callable[[Any], str]:
        FAULTS[inject.__name__] = Fault(title, inject, bound + BUSY, **more)
        return inject

    return register

"""Documents of a provider that are kept: its metadata and its keys."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from app.oidc.http_client import ProviderError

MAX_AGE = 3600  # seconds
MIN_INTERVAL = 30  # seconds between two fetches for unknown keys
PAUSE = 5  # seconds after a failure, in which requests fail at once and occupy no thread

T = TypeVar("T")


class RemoteDocument(Generic[T]):
    """A document that is fetched when it is needed, and kept for `MAX_AGE`.

    Args:
        fetch: returns the document; raises `ProviderError`.
    """

    def __init__(self, fetch: Callable[[], T]) -> None:
        self._fetch, self._lock = fetch, threading.Lock()
        self._value: T | None = None
        self._expires_at = self._next_refresh = self._next_attempt = 0.0

    def read(self) -> T:
        """Return the document, fetched if it is too old.

        Raises:
            ProviderError: it cannot be fetched, or could not be a moment ago.
        """
        with self._lock:
            moment = time.monotonic()
            if self._value is None or moment >= self._expires_at:
                self._replace(moment)
            assert self._value is not None  # noqa: S101 - `_replace` has raised otherwise
            return self._value

    def refresh(self) -> T:
        """Return the document after a fetch, at most one in `MIN_INTERVAL`.

        Raises:
            ProviderError: it cannot be fetched.
        """
        with self._lock:
            moment = time.monotonic()
            if moment >= self._next_refresh:
                self._next_refresh = moment + MIN_INTERVAL
                self._replace(moment)
        return self.read()

    def _replace(self, moment: float) -> None:
        if moment < self._next_attempt:
            raise ProviderError("failed a moment ago", unavailable=True)
        try:
            self._value = self._fetch()
        except ProviderError:
            self._next_attempt = time.monotonic() + PAUSE
            raise
        self._expires_at = moment + MAX_AGE

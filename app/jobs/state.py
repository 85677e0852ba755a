"""The state of an application's jobs, in `app.extensions["jobs"]`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from flask import Flask


class Backend(Protocol):
    """Runs jobs: in threads of this process, or in Celery's workers."""

    def send(self, job_id: UUID) -> None:
        """Send a job to a worker."""

    def start(self) -> None:
        """Start periodic tasks, if they run in this process."""

    def drain(self) -> None:
        """Wait for the jobs of this process."""

    def stop(self) -> None:
        """Stop the jobs of this process; another process resumes them."""


@dataclass
class JobsState:
    """The backend, and whether this process is shutting down."""

    backend: Backend
    send: Callable[[UUID], None]  # the backend's
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start periodic tasks; called when a web worker has started."""
        self.backend.start()

    def drain(self) -> None:
        """Wait for the jobs of this process."""
        self.backend.drain()

    def stop(self) -> None:
        """Interrupt jobs between two transactions; called when a worker exits."""
        self.stopping.set()
        self.backend.stop()


def jobs_state(app: Flask) -> JobsState:
    """Return the state of this application's jobs."""
    state: JobsState = app.extensions["jobs"]
    return state

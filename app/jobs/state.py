"""The state of an application's jobs, in `app.extensions["jobs"]`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from flask import Flask


class Backend(Protocol):
    """Who runs the jobs: threads of this process, or Celery's workers."""

    def send(self, job_id: UUID) -> None:
        """Send a job to a worker."""

    def start(self) -> None:
        """Begin to run periodic tasks, where this process does so."""

    def drain(self) -> None:
        """Wait for the jobs that this process runs."""

    def stop(self) -> None:
        """Stop running jobs in this process; they are resumed elsewhere."""


@dataclass
class JobsState:
    """The backend, and whether this process is about to end."""

    backend: Backend
    send: Callable[[UUID], None]
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to run periodic tasks; called once a web worker has started."""
        self.backend.start()

    def drain(self) -> None:
        """Wait for the jobs that this process runs."""
        self.backend.drain()

    def stop(self) -> None:
        """Interrupt jobs between two transactions; called when a worker ends."""
        self.stopping.set()
        self.backend.stop()


def jobs_state(app: Flask) -> JobsState:
    """The state of this application's jobs."""
    state: JobsState = app.extensions["jobs"]
    return state

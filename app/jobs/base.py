"""The base class of job backends."""

import threading
from uuid import UUID

from flask import Flask


class Backend:
    """Runs jobs: in threads of this process, or in Celery's workers.

    The application has one, in `app.extensions["jobs"]`.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()  # set when this process shuts down

    def send(self, job_id: UUID) -> None:
        """Send a job to a worker."""
        raise NotImplementedError

    def start(self) -> None:
        """Start periodic tasks, if they run in this process; called when a web worker starts."""

    def drain(self) -> None:
        """Wait for the jobs of this process."""

    def stop(self) -> None:
        """Interrupt the jobs of this process between two transactions; others resume them."""
        self.stopping.set()


def job_backend(app: Flask) -> Backend:
    """Return the backend of an application."""
    backend: Backend = app.extensions["jobs"]
    return backend

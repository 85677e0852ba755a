"""Work outside of requests: jobs that a request submits, and periodic tasks.

Here belong the registries of both, and a backend that runs jobs in threads of this process and
forgets them with it. The feature `jobs` replaces it by rows, which are resources as well.
docs/decisions.md#94-background-work-without-the-feature-jobs
"""

from flask import Flask


def init_app(app: Flask) -> None:
    """Set the backend of a service without the feature `jobs`, and add `flask maintenance`."""
    from app.core.background.commands import maintenance
    from app.core.background.in_memory import InMemoryBackend

    app.extensions["jobs"] = InMemoryBackend(app)
    app.cli.add_command(maintenance)

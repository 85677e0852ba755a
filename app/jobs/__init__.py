"""Jobs: background work that a request starts, and periodic tasks.

Here belong storage, dispatch, retries and cancellation of jobs, and the backends that run them. The
handlers of job types and the periodic tasks belong to the features that register them with
`app.core.background`.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "jobs:own")
roles.grant("admin", "jobs:manage")


def init_app(app: Flask) -> None:
    """Choose the backend, and register the routes and the periodic tasks."""
    from app.jobs import backends, periodic  # noqa: F401 - the second registers its tasks
    from app.jobs.routes import jobs

    backends.init_app(app)
    app.register_blueprint(jobs)

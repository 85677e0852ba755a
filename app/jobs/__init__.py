"""Jobs: background work that a request starts, and periodic tasks.

Here belong storage, dispatch, retries and cancellation of jobs, and the backends that run them. The
handler of a job type belongs to the feature that registers it with `app.jobs.runner.job`; a
periodic task belongs to the feature that registers it with `app.jobs.periodic.periodic_task`.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "jobs:own")
roles.grant("admin", "jobs:manage")


def init_app(app: Flask) -> None:
    """Choose the backend, and register the routes and `flask maintenance`."""
    from app.jobs import backends
    from app.jobs.commands import maintenance
    from app.jobs.routes import jobs

    backends.init_app(app)
    app.register_blueprint(jobs)
    app.cli.add_command(maintenance)

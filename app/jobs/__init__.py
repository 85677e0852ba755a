"""Jobs: work that continues after the response, and work that recurs.

Here belong how a job is stored, dispatched, retried and cancelled, and who runs it. What a type of
job does belongs to the feature that registers it with `app.jobs.runner.job`; the same holds for
`app.jobs.periodic.periodic_task`.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "jobs:own")
roles.grant("admin", "jobs:manage")


def init_app(app: Flask) -> None:
    """Choose who runs jobs, and register the routes and `flask maintenance`."""
    from app.jobs import backends
    from app.jobs.commands import maintenance
    from app.jobs.routes import jobs

    backends.init_app(app)
    app.register_blueprint(jobs)
    app.cli.add_command(maintenance)

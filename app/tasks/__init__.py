"""Tasks: a sample feature with rows that are private to their owner.

Here belong the model, the routes and the demo data of tasks. Nothing else in the repository refers
to this package, except its line in `app/features.py`.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "tasks:own")


def init_app(app: Flask) -> None:
    """Register the routes and the tasks of the demo account."""
    from app.tasks import seed  # noqa: F401 - registers demo data
    from app.tasks.routes import tasks

    app.register_blueprint(tasks)

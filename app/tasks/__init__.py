"""Tasks: private to their owner, a sample feature.

Here belongs everything about tasks: the model, its routes and demo data. Nothing else in the
repository refers to this package, except its line in `app/features.py`.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "tasks:own")


def init_app(app: Flask) -> None:
    """Register the routes and the tasks of the demo account."""
    from app.tasks import seed  # noqa: F401 - registers demo data
    from app.tasks.routes import tasks

    app.register_blueprint(tasks)

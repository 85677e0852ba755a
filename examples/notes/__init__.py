"""Notes: private to their owner. A feature as the README's "Add a resource" makes it."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the routes."""
    from examples.notes.routes import notes

    app.register_blueprint(notes)

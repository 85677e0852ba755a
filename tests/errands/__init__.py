"""Errands: a feature for tests, with rows that are private to their owner."""

from flask import Flask

from app.users import roles

roles.grant("user", "errands:own")


def init_app(app: Flask) -> None:
    """Register the routes."""
    from tests.errands.routes import errands

    app.register_blueprint(errands)

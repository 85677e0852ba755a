"""Places: shared. Every role reads them, editors write them."""

from flask import Flask

from app.users import roles

roles.grant("user", "places:read")
roles.grant("editor", "places:write")


def init_app(app: Flask) -> None:
    """Register the routes."""
    from examples.places.routes import places

    app.register_blueprint(places)

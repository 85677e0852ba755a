"""A shop beside products and tasks: customers, orders, reviews, tags, and files of tasks."""

from flask import Flask

from app.users import roles

roles.grant("user", "reviews:read", "reviews:own")


def init_app(app: Flask) -> None:
    """Register the routes."""
    from examples.shop.routes import shop

    app.register_blueprint(shop)

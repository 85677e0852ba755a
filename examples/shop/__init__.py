"""A shop beside products and tasks, which it leaves as they are.

Customers and orders are private to the user who records them. Reviews are below products: all users
read them, their author changes them. Tags have tasks, tasks have files.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "reviews:read", "reviews:own")


def init_app(app: Flask) -> None:
    """Register the routes."""
    from examples.shop.routes import shop

    app.register_blueprint(shop)

"""A shop beside products and tasks, which it leaves as they are.

Customers and orders are private to the user who records them. Reviews are below products: all users
read them, their author changes them; the average is `/products/{id}/rating`. Tags have tasks, and
their list a filter for one of them.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "reviews:read", "reviews:own")


def init_app(app: Flask) -> None:
    """Register the routes."""
    from examples.shop.routes import shop

    app.register_blueprint(shop)

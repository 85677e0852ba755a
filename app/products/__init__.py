"""Products: a sample feature with a shared catalogue.

Here belong the model, the routes, the cached summary, imports, commands and demo data of products.
Nothing else in the repository refers to this package, except its line in `app/features.py`.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "products:read")
roles.grant("editor", "products:write")


def init_app(app: Flask) -> None:
    """Register the routes, the job type of imports, `flask products` and demo products."""
    from app.products import imports, seed  # noqa: F401 - register a job type and demo data
    from app.products.commands import products as commands
    from app.products.routes import products

    app.register_blueprint(products)
    app.cli.add_command(commands)

"""Articles: a feature for tests. Everybody reads them, editors write and import them.

Tests use it in place of the sample features, which a service removes.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "articles:read")
roles.grant("editor", "articles:write")


def init_app(app: Flask) -> None:
    """Register the routes, the job type of imports and the demo articles."""
    from tests.articles import background  # noqa: F401 - registers them
    from tests.articles.routes import articles

    app.register_blueprint(articles)

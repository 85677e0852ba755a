"""Articles: a feature for tests. Everybody reads them, editors write and import them.

Tests use it in place of the sample features, which a service removes.
"""

from flask import Flask

from app.users import roles

roles.grant("user", "articles:read")
roles.grant("editor", "articles:write")


def init_app(app: Flask) -> None:
    """Register the routes and the demo articles."""
    from tests.articles import demo  # noqa: F401 - registers them

    # begin jobs
    from tests.articles.imports import import_articles  # noqa: F401 - registers route and job type

    # end jobs
    from tests.articles.routes import articles

    app.register_blueprint(articles)

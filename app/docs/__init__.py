"""Documentation pages: `/docs`, and a page for each problem type.

Here belong pages. The content of the OpenAPI document belongs to `app.core.openapi`, problem types
to `app.core.web.problems`.
"""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages and `/openapi.json`."""
    from app.docs.routes import docs

    app.register_blueprint(docs)

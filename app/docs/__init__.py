"""Documentation for people: `/docs`, and a page for each problem type.

Here belong pages. What the OpenAPI document says belongs to `app.core.openapi`, what the problem
types are to `app.core.web.problems`.
"""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the pages and `/openapi.json`."""
    from app.docs.routes import docs

    app.register_blueprint(docs)

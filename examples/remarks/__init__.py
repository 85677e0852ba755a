"""Remarks: below a note, private to its owner."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Register the routes."""
    from examples.remarks.routes import remarks

    app.register_blueprint(remarks)

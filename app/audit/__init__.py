"""Audit: who changed what, when, from which address.

Here belong the table of audit events and its routes. How a change is collected and written in the
transaction that makes it belongs to `app.core.resources.audit_log`.
"""

from flask import Flask

from app.users import roles

roles.grant("admin", "audit:read")


def init_app(app: Flask) -> None:
    """Register the routes, and the receiver of changes in `app.audit.models`."""
    from app.audit.routes import audit_events

    app.register_blueprint(audit_events)

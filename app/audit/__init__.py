"""Audit: who changed what, when, and from which IP address.

Here belong the table of audit events and its routes. The code that collects changes and writes
them in the transaction that makes them belongs to `app.core.resources.audit_log`.
"""

from flask import Flask

from app.users import roles

roles.grant("admin", "audit:read")


def init_app(app: Flask) -> None:
    """Register the routes, the receiver of changes, and the erasure of personal values."""
    from app.audit import erasure  # noqa: F401 - registers its job and its periodic task
    from app.audit.routes import audit_events

    app.register_blueprint(audit_events)

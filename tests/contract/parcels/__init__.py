"""Parcels: a feature for the generated tests, with the kinds of operation that no other has."""

from flask import Flask

from app.users import roles

roles.grant("user", "parcels:own")


def init_app(app: Flask) -> None:
    """Register the routes."""
    from tests.contract.parcels.flaws import flaws
    from tests.contract.parcels.labels import parcel_labels
    from tests.contract.parcels.routes import parcels

    app.register_blueprint(parcels)
    app.register_blueprint(parcel_labels)
    app.register_blueprint(flaws)

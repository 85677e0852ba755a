"""Registration of resources: their routes, and their part of the OpenAPI document."""

from flask import Flask
from flask_smorest import Blueprint

API_PREFIX = "/api/v1"


def register_blueprints(app: Flask, *blueprints: Blueprint, prefix: str = API_PREFIX) -> None:
    """Register resources, each under `prefix` and its own `url_prefix`."""
    api = app.extensions["openapi"]
    with app.app_context():  # schemas read settings when they are described
        for blueprint in blueprints:
            api.register_blueprint(blueprint, url_prefix=f"{prefix}{blueprint.url_prefix}")

"""Features for tests: those of the service, the example, and routes that a test defines."""

from types import ModuleType

from flask import Flask

from app.core.resources.blueprint import Blueprint
from app.features import FEATURES
from examples import notes

WITH_NOTES = (*FEATURES, notes)


def _register(app: Flask, *blueprints: Blueprint) -> None:
    for blueprint in blueprints:
        app.register_blueprint(blueprint, url_prefix=f"/api/v1{blueprint.url_prefix}")


def as_feature(*blueprints: Blueprint) -> ModuleType:
    """A feature that has routes and nothing else."""
    feature = ModuleType("feature_of_a_test")
    feature.__file__ = "/nonexistent/feature_of_a_test/__init__.py"
    feature.init_app = lambda app: _register(app, *blueprints)
    return feature

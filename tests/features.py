"""Features for tests: the service's own, the example, and routes that a test defines."""

from types import ModuleType

from app.core.openapi.registration import register_blueprints
from app.core.resources.blueprint import Blueprint
from app.features import FEATURES
from examples import notes

WITH_NOTES = (*FEATURES, notes)


def as_feature(*blueprints: Blueprint) -> ModuleType:
    """A feature that has routes and nothing else."""
    feature = ModuleType("feature_of_a_test")
    feature.__file__ = "/nonexistent/feature_of_a_test/__init__.py"
    feature.init_app = lambda app: register_blueprints(app, *blueprints)
    return feature

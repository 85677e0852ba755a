"""Features for tests: those of the service, the examples, and routes that a test defines."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from flask import Flask
from sqlalchemy import MetaData

import examples
from app.core.resources.blueprint import Blueprint
from app.extensions import db
from app.features import FEATURES
from app.users.models import User
from examples import notes
from tests import articles, errands
from tests.contract import parcels

# The generated tests cover these features.
WITH_EXAMPLES: tuple[ModuleType, ...] = (*FEATURES, notes, parcels)
# tests/test_examples.py sets it: the generated tests of the examples take minutes.
if "WITH_ALL_EXAMPLES" in os.environ:
    WITH_EXAMPLES += tuple(
        import_module(f"examples.{each.name}")
        for each in iter_modules(examples.__path__)
        if each.name != "notes"
    )
# All other tests have these, and use none of the sample features, which can be removed.
WITH_FEATURES_OF_TESTS = (*WITH_EXAMPLES, articles, errands)


def _register(app: Flask, *blueprints: Blueprint) -> None:
    for blueprint in blueprints:
        app.register_blueprint(blueprint, url_prefix=f"/api/v1{blueprint.url_prefix}")


def as_feature(*blueprints: Blueprint) -> ModuleType:
    """A feature that has routes and nothing else."""
    feature = ModuleType("feature_of_a_test")
    feature.__file__ = "/nonexistent/feature_of_a_test/__init__.py"
    feature.init_app = lambda app: _register(app, *blueprints)
    return feature


def own_metadata() -> MetaData:
    """For models of a test module; their tables may refer to users."""
    metadata = MetaData(naming_convention=db.metadata.naming_convention)
    User.__table__.to_metadata(metadata)  # type: ignore[attr-defined]
    return metadata


@contextmanager
def own_tables(app: Flask, metadata: MetaData) -> Iterator[None]:
    """Tables without migrations, which the core knows and the database has during the block."""
    own = [table for name, table in metadata.tables.items() if name not in db.metadata.tables]
    tables = [table.to_metadata(db.metadata) for table in own]
    for before, table in zip(own, tables, strict=True):  # which does not copy this
        info = {index.name: index.info for index in before.indexes}
        for index in table.indexes:
            index.info.update(info[index.name])
    try:
        with app.app_context():
            db.metadata.create_all(db.engine, tables)
        yield
    finally:
        with app.app_context():
            db.session.remove()
            db.metadata.drop_all(db.engine, tables)
        for table in tables:
            db.metadata.remove(table)

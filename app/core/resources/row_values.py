"""The values to write into rows, by column."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import marshmallow as ma
import sqlalchemy as sa

from app.core.database.ids import uuid7
from app.core.database.mixins import ResourceMixin
from app.core.database.types import now
from app.core.resources.audit_values import Values
from app.core.resources.statements import table_of
from app.core.schemas.loading import errors_as_json_pointers
from app.core.schemas.merge_patch import MergePatch
from app.core.web.problems import Problem
from app.extensions import db


def column_defaults(model: type[Any]) -> Values:
    """The values that SQLAlchemy would insert into columns without one."""
    moment = now()
    defaults = {
        name: default(None) if callable(default) else default
        for name, default in _default_values(model)  # type: ignore[arg-type]
    }
    return {"id": uuid7(), "created_at": moment, "updated_at": moment, **defaults}


@cache
def _default_values(model: type[Any]) -> list[tuple[str, Any]]:
    ours = ("id", "created_at", "updated_at")
    defaults = ((c.name, c.default) for c in table_of(model).c if c.default and c.name not in ours)
    return [(name, default.arg) for name, default in defaults]  # type: ignore[attr-defined]


def instance_values(instance: ResourceMixin) -> Values:
    """The values of an instance that is not stored yet, by column."""
    columns = table_of(type(instance)).c
    return {name: value for name, value in vars(instance).items() if name in columns}


def merge_objects(values: Mapping[str, Any], model: type[Any], before: Any) -> Mapping[str, Any]:
    """The values with each `MergePatch` applied to the stored object of a locked row.

    Raises:
        Problem: 422, naming the members of a result that is not valid.
    """
    patches = {name: value for name, value in values.items() if isinstance(value, MergePatch)}
    if not patches:
        return values
    stored = before
    if not all(hasattr(before, name) for name in patches):  # a response need not show them
        columns = [table_of(model).c[name] for name in patches]
        statement = sa.select(*columns).where(table_of(model).c.id == before.id)
        stored = db.session.connection().execute(statement).one()
    merged, errors = dict(values), {}
    for name, patch in patches.items():
        try:
            merged[name] = patch.apply(getattr(stored, name))
        except ma.ValidationError as error:
            errors[name] = error.messages
    if errors:
        raise Problem("validation-error", errors=errors_as_json_pointers(errors))
    return merged

"""The values of new rows, by column."""

from functools import cache
from typing import Any

from app.core.database.ids import uuid7
from app.core.database.mixins import ResourceMixin
from app.core.database.types import now
from app.core.resources.audit_values import Values
from app.core.resources.statements import table_of


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

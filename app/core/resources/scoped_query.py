"""Scoped queries: the rows of a resource that a caller may read or write, as constant selects.

`Task.visible_to(caller)` returns one. `CALLER_ID_PARAM` stands for the caller in it, and
`path_param("task_id")` for an id of the path.
"""

# A scoped query is one constant object per kind of caller, so that it is the key of the statements
# built from it: docs/decisions.md#1-scoped-queries

from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import has_request_context
from sqlalchemy.sql import visitors

from app.core.resources.audit_values import Values
from app.core.security import authorization
from app.core.web.request_state import current_request

ScopedSelect = sa.Select[Any]
_PATH = "path_"  # how the parameters of `path_param` begin


def path_param(name: str) -> sa.BindParameter[Any]:
    """In a scoped query, the id that the rules of the routes call `<uuid:name>`."""
    return sa.bindparam(f"{_PATH}{name}", type_=sa.Uuid())


@lru_cache(maxsize=1024)
def path_param_names(scoped: ScopedSelect) -> tuple[str, ...]:
    """The names of the ids that a scoped query takes from the path."""
    keys = (each.key for each in visitors.iterate(scoped) if isinstance(each, sa.BindParameter))
    return tuple(key.removeprefix(_PATH) for key in keys if key.startswith(_PATH))


def writable_if(visible: ScopedSelect, condition: sa.ColumnElement[bool]) -> ScopedSelect:
    """The rows of a scoped query that meet a condition, without which they may only be read.

    A write of a row that is visible but does not meet it is a 403, of an invisible one a 404. Make
    it once, as every scoped query.
    """
    return visible.where(condition).execution_options(readable_rows=visible)


def readable_rows(scoped: ScopedSelect) -> ScopedSelect | None:
    """The scoped query that `writable_if` has restricted to this one."""
    return scoped.get_execution_options().get("readable_rows")


def scope_params(item_id: UUID | None = None) -> Values:
    """The values of the parameters of scoped queries: the caller, and the ids of the path."""
    path = (current_request().view_args or {}) if has_request_context() else {}
    ids = {f"{_PATH}{name}": value for name, value in path.items()}
    return {"item_id": item_id, **ids, **authorization.caller_params()}

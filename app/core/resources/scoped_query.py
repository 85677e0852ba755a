"""Scoped queries: the rows of a resource that a caller may read or write, as constant selects.

`Task.visible_to(caller)` returns one. `CALLER_ID_PARAM` stands for the caller in it, and
`path_param("task_id")` for an id of the path.
"""

# A scoped query is one constant object per kind of caller, so that it is the key of the statements
# built from it: docs/decisions.md#1-scoped-queries

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import has_request_context, request

from app.core.resources.audit_values import Values
from app.core.security import authorization

ScopedSelect = sa.Select[Any]


def path_param(name: str) -> sa.BindParameter[Any]:
    """In a scoped query, the id that the rules of the routes call `<uuid:name>`."""
    return sa.bindparam(f"path_{name}", type_=sa.Uuid())


def scope_params(item_id: UUID | None = None) -> Values:
    """The values of the parameters of scoped queries: the caller, and the ids of the path."""
    path = (request.view_args or {}) if has_request_context() else {}
    ids = {f"path_{name}": value for name, value in path.items()}
    return {"item_id": item_id, **ids, **authorization.caller_params()}

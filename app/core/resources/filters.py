"""Query parameters of a list: filters, sort, and pagination parameters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from inspect import isfunction
from typing import Any

import marshmallow as ma
from sqlalchemy import ColumnElement, Select, bindparam

from app.core.openapi.operation import DeclarationError
from app.core.resources.cursor import MAX_CURSOR_LENGTH
from app.core.resources.scoped_query import ScopedSelect
from app.core.schemas.base import Schema
from app.core.schemas.fields import Enum, Integer, String
from app.core.security import authorization
from app.core.security.authorization import current_caller

Condition = Callable[[Any], ColumnElement[bool]]


def filter_by(field: ma.fields.Field[Any], condition: Condition, *, permission: str = "") -> Any:
    """A filter: the field of a query parameter, and the condition that it adds.

    Args:
        condition: returns the SQL condition for a bind parameter, which holds the value.
        permission: the parameter is a 403 for callers without it.

    Raises:
        DeclarationError: the field is something else. Names the function.
    """
    if not isinstance(field, ma.fields.Field):
        named = condition if isfunction(condition) else field
        raise DeclarationError(named, "filter_by takes a field, such as Boolean(), then this")
    field.metadata = {**field.metadata, "condition": condition, "permission": permission}
    return field


class Sort(Enum):
    """The `sort` parameter: the name of a key; descending with `-` in front.

    Args:
        keys: SQL expressions by name. None of them may be NULL, or rows would be lost.
        default: the sort where the request has none.
    """

    def __init__(self, keys: Mapping[str, Any], *, default: str) -> None:
        choices = [sign + name for name in keys for sign in ("", "-")]
        metadata = {"description": "The sort key; descending with `-` in front."}
        super().__init__(choices, load_default=default, metadata=metadata)
        self.keys = keys


class CursorField(String):
    """An opaque cursor of letters, digits and `-_.`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=1, max_length=MAX_CURSOR_LENGTH, **kwargs)

    def openapi_properties(self) -> dict[str, Any]:
        """JSON Schema keywords for the document."""
        return {"pattern": "^[A-Za-z0-9._-]+$"}


MAX_PAGE_SIZE = 100


class PageQuery(Schema):
    """The parameters of every list. A subclass adds `sort` and its filters."""

    limit = Integer(
        min=1, max=MAX_PAGE_SIZE, load_default=20, metadata={"description": "Items per page."}
    )
    cursor = CursorField(metadata={"description": "`next_cursor` of another page."})
    count = Enum(
        ["none", "exact", "estimated"],
        load_default="none",
        metadata={
            "description": "How to count the items that the filters match; `exact` costs more."
        },
    )
    sort: Sort


PAGINATION_PARAMS = ("limit", "cursor", "count")  # of a page, not of a whole list
NOT_FILTERS = (*PAGINATION_PARAMS, "sort")


def filter_values(
    query: PageQuery, loaded: Mapping[str, Any], names: Iterable[str]
) -> dict[str, Any]:
    """The values of these filters by bind parameter.

    Raises:
        Problem: 403, naming the first parameter that the caller may not use.
    """
    for name in names:
        permission = query.fields[name].metadata["permission"]
        if permission and not current_caller.can(permission):
            detail = "The caller may not use this parameter."
            raise authorization.forbidden_problem({"detail": detail, "parameter": name})
    return {f"filter_{name}": loaded[name] for name in names}


def filter_conditions(query: PageQuery, names: tuple[str, ...]) -> Iterator[ColumnElement[bool]]:
    """The conditions of the filters; each value is the bind parameter `filter_{name}`."""
    for name in names:
        yield query.fields[name].metadata["condition"](bindparam(f"filter_{name}"))


@lru_cache(maxsize=1024)
def apply_filters(scoped: ScopedSelect, query: PageQuery, names: tuple[str, ...]) -> Select[Any]:
    """The scoped query with the conditions of these filters."""
    return scoped.where(*filter_conditions(query, names))

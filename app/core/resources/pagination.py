"""Keyset pagination: a page begins after the (sort key, id) pair in its cursor.

The cursor is signed, and valid for one list with one sort and one set of filters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import md5
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import marshmallow as ma
from flask import request
from sqlalchemy import Select

from app.core.database import execute
from app.core.resources.cursor import MAX_FILTER_BYTES, PageCursor, sign_for_list
from app.core.resources.filters import (
    MAX_PAGE_SIZE,
    NOT_FILTERS,
    CursorField,
    PageQuery,
    apply_filters,
    filter_values,
)
from app.core.resources.list_statements import (
    PageShape,
    below_parent,
    explain,
    select_count,
    select_page,
    select_page_unless_etag_matches,
)
from app.core.resources.scoped_query import ScopedSelect, scope_params
from app.core.schemas.base import Schema, derived_schema
from app.core.schemas.fields import Integer
from app.core.security import authorization
from app.core.web import strict_json
from app.core.web.etags import etag_digest, has_tag, precondition
from app.core.web.problems import Problem
from app.core.web.query_string import load_parameters, load_query
from app.core.web.urls import below_prefix
from app.extensions import db

_DIGEST_OF_NO_ROWS = md5(b"[]", usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, and the links to others."""

    rows: Sequence[Any]
    schema: Schema
    extra: dict[str, Any]  # the members of the body other than the items
    link: str | None  # the Link header's value (RFC 8288); None where all rows fit in one page
    etag: str  # strong
    etag_matches: bool  # one of If-None-Match; there may be no rows then

    @property
    def is_empty(self) -> bool:
        """Whether it has no rows, whatever If-None-Match is."""
        return self.etag[1:33] == _DIGEST_OF_NO_ROWS

    def body(self) -> dict[str, Any]:
        """The response body."""
        return {"items": [self.schema.row_to_dict(row) for row in self.rows], **self.extra}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The parameters of a list; sort and filters may come from the cursor."""

    limit: int
    count: str
    sort: str
    filters: dict[str, str]  # as sent
    values: dict[str, Any]  # of the filters, validated, by bind parameter
    cursor: PageCursor | None

    @classmethod
    def of_request(cls, query: PageQuery) -> "ListQuery":
        """The parameters of the current request.

        Raises:
            Problem: 422 for the parameters, 400 for a cursor of another list, sort or filter, 403
                for a filter that the caller may not use.
        """
        sent = load_query(query)
        filters = {k: v for k, v in request.args.items() if k not in NOT_FILTERS}
        loaded, cursor = sent, None
        if "cursor" in sent:
            cursor = PageCursor.loads(sent["cursor"])
            same_sort = request.args.get("sort", cursor.sort) == cursor.sort
            if not same_sort or (filters or cursor.filters) != cursor.filters:
                raise Problem("invalid-cursor")
            # As text: the current schema parses and validates them again.
            filters = cursor.filters
            loaded = load_parameters(query, filters | {"sort": cursor.sort})
        elif len(strict_json.dumps(filters)) > MAX_FILTER_BYTES:
            # Each may be valid by itself, such as a number with a thousand zeros.
            longest = max(filters, key=lambda name: len(filters[name]))
            error = {"detail": "The filters are too long together.", "parameter": longest}
            raise Problem("validation-error", errors=[error])
        values = filter_values(query, loaded, filters)
        return cls(sent["limit"], sent["count"], loaded["sort"], filters, values, cursor)

    @property
    def backwards(self) -> bool:
        """Whether the page lies before its cursor."""
        return self.cursor is not None and self.cursor.backwards

    @property
    def shape(self) -> PageShape:
        """What the statement depends on; it reads one row more, to know if a page follows."""
        names, has_cursor = tuple(sorted(self.filters)), self.cursor is not None
        return PageShape(names, self.sort, self.limit + 1, has_cursor, self.backwards)

    def binds(self, item_id: UUID | None) -> dict[str, Any]:
        """The values of the statement's bind parameters."""
        position: dict[str, Any] = {}
        if self.cursor:
            position = {"after_key": self.cursor.key, "after_id": self.cursor.id}
        return {**scope_params(item_id), **self.values, **position}


def fetch_page(
    scoped: ScopedSelect,
    schema: Schema,
    query: PageQuery,
    parents: ScopedSelect | None = None,
    item_id: UUID | None = None,
) -> Page:
    """The page that the request's parameters select, in one SQL round trip (two with a count).

    Args:
        parents: the scoped query of the item that the rows belong to; there are none without it.
        item_id: of that item, from the path.

    Raises:
        Problem: 422 for the parameters, 400 for a cursor that does not match them, 403 for a filter
            that the caller may not use, 401 where the caller's session was revoked.
    """
    parameters = ListQuery.of_request(query)
    binds, shape = parameters.binds(item_id), parameters.shape
    scoped = scoped if parents is None else below_parent(scoped, parents)
    count: dict[str, int] = {}
    if parameters.count != "none":
        matching = apply_filters(scoped, query, shape.filters)
        count["count"] = _count(matching, binds, parameters.count)
    valid = authorization.session_is_valid_clause()
    statement = select_page(scoped, schema, query, shape, valid)
    # The ETag covers the whole body: a digest covers the rows, this suffix the rest.
    suffix = sign_for_list(strict_json.dumps([schema.column_names, count]))[:8]
    rows, etag, matches = _fetch_rows(statement, binds, schema, shape, suffix)
    more = len(rows) > parameters.limit
    del rows[parameters.limit :]
    if shape.backwards:
        rows.reverse()
    link, next_cursor = _neighbours(parameters, rows, more=more)
    return Page(rows, schema, {"next_cursor": next_cursor, **count}, link, etag, matches)


def _fetch_rows(
    statement: Select[Any],
    binds: Mapping[str, Any],
    schema: Schema,
    shape: PageShape,
    suffix: str,
) -> tuple[list[Any], str, bool]:
    """The rows, their ETag, and whether it matches one of If-None-Match."""
    ending = f'-{suffix}"'
    held = precondition().if_none_match
    digests = [tag[1:33] for tag in held if tag[33:] == ending]
    # PostgreSQL compares the digests and returns rows only if none matches, a tenth of the cost of
    # a page. Its verdict is the answer: docs/decisions.md#12-conditional-lists
    if digests and schema.is_versioned and db.engine.dialect.name == "postgresql":
        conditional = select_page_unless_etag_matches(statement, shape.is_descending)
        result = execute.fetch_autocommit(conditional, {**binds, "digests": digests})
        digest, matches = result[0].digest, result[0].matches
        rows = [row for row in result if row.id]
        etag = f'"{digest}{ending}'
    else:
        rows = list(execute.fetch_autocommit(statement, binds))
        digest = etag_digest(schema, rows)
        etag = f'"{digest}{ending}'
        matches = has_tag(held, etag)
    # No rows may mean that the session was revoked: the condition is part of the statement.
    if digest == _DIGEST_OF_NO_ROWS:
        authorization.require_valid_session()
    return rows, etag, matches


def _count(statement: Select[Any], binds: Mapping[str, Any], method: str) -> int:
    """How many rows the statement has, or how many PostgreSQL's planner estimates."""
    if method == "estimated" and db.engine.dialect.name == "postgresql":
        plan = execute.fetch_autocommit(explain(statement), binds)[0][0]
        return int(plan[0]["Plan"]["Plan Rows"])
    return int(execute.fetch_autocommit(select_count(statement), binds)[0][0])


def _neighbours(
    parameters: ListQuery, rows: Sequence[Any], *, more: bool
) -> tuple[str | None, str | None]:
    """The Link header's value, and the cursor of the next page.

    Args:
        more: whether there are further rows in the direction of the page.
    """

    def cursor_at(row: Any, *, backwards: bool) -> str:
        position = (row.sort_key, row.id)
        return PageCursor(parameters.sort, parameters.filters, backwards, *position).dumps()

    has_cursor, backwards = parameters.cursor is not None, parameters.backwards
    has_next = bool(rows) and (more or backwards)
    has_prev = bool(rows) and has_cursor and (more or not backwards)
    next_cursor = cursor_at(rows[-1], backwards=False) if has_next else None
    if not (has_cursor or next_cursor):
        return None, None
    prev_cursor = cursor_at(rows[0], backwards=True) if has_prev else None
    cursors = {"first": "", "prev": prev_cursor, "next": next_cursor}
    return _link(cursors, parameters), next_cursor


def _link(cursors: Mapping[str, str | None], parameters: ListQuery) -> str:
    base = f"{request.scheme}://{request.host}{below_prefix(request.path)}"
    limit = {k: v for k, v in request.args.items() if k == "limit"}
    first = {k: v for k, v in request.args.items() if k in ("count", "sort")} | parameters.filters
    if parameters.cursor:
        first["sort"] = parameters.sort

    def url(cursor: str) -> str:
        # A cursor contains sort and filters: repeated, they would make the header field too large.
        query = urlencode(limit | ({"cursor": cursor} if cursor else first))
        return f"{base}?{query}" if query else base

    return ", ".join(f'<{url(c)}>; rel="{rel}"' for rel, c in cursors.items() if c is not None)


@cache  # two lists of one schema have one component in the document
def page_schema(schema: type[Schema]) -> Schema:
    """The envelope of a page, for the document."""
    on_request = {"description": "Only where `count` asks for it.", "x-optional": True}
    at_most = ma.validate.Length(max=MAX_PAGE_SIZE)
    members: dict[str, Any] = {
        "items": ma.fields.List(ma.fields.Nested(schema), validate=at_most),
        "next_cursor": CursorField(allow_none=True),
        "count": Integer(min=0, max=2**53, metadata=on_request),
    }
    return derived_schema(schema, "Page", members)

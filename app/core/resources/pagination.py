"""Keyset pages over any allowed sort, and the filters of a list.

A page begins after a (sort key, id) pair that its cursor carries, so its cost does not grow with
its depth, and rows added or removed meanwhile shift nothing. The cursor is signed, and bound to
the list, the sort and the filters it was made with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import md5
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import request
from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Executable,
    Select,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy import Integer as SQLInteger
from sqlalchemy import Text as SQLText
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from werkzeug.sansio.utils import get_current_url

from app.core.database import execute
from app.core.database.full_text import matches
from app.core.resources.cursor import PageCursor, sign_for_list
from app.core.resources.filters import (
    _NOT_FILTERS,
    PageQuery,
    _conditions,
    _matching,
    check_filter_permissions,
)
from app.core.resources.repository import ScopedSelect
from app.core.resources.statements import model_of
from app.core.schemas.base import Schema
from app.core.security import authorization
from app.core.web import strict_json
from app.core.web.etags import etag_digest, get_condition_header
from app.core.web.problems import Problem
from app.core.web.query_string import load_parameters, load_query
from app.extensions import db


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, and the way on."""

    rows: Sequence[Any]
    schema: Schema
    beside: dict[str, Any]  # the members of the body beside the items
    link: str | None  # the Link header's value (RFC 8288); None where all fits one page
    etag: str  # strong; where the caller has it, there may be no rows

    def body(self) -> dict[str, Any]:
        """What is answered."""
        return {"items": [self.schema.row_to_dict(row) for row in self.rows], **self.beside}


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What the parameters ask for; those that a cursor carries need not be repeated."""

    limit: int
    count: str
    sort: str
    filters: dict[str, str]  # as given
    values: dict[str, Any]  # as understood
    cursor: PageCursor | None

    @classmethod
    def of_request(cls, query: PageQuery) -> "ListQuery":
        """The parameters of the current request."""
        given = load_query(query)
        filters = {k: v for k, v in request.args.items() if k not in _NOT_FILTERS}
        loaded, cursor = given, None
        if "cursor" in given:
            cursor = PageCursor.loads(given["cursor"])
            same_sort = request.args.get("sort", cursor.sort) == cursor.sort
            if not same_sort or (filters or cursor.filters) != cursor.filters:
                raise Problem("invalid-cursor")
            filters = cursor.filters
            loaded = load_parameters(query, filters | {"sort": cursor.sort})
        values = {f"filter_{name}": loaded[name] for name in filters}
        return cls(given["limit"], given["count"], loaded["sort"], filters, values, cursor)

    @property
    def back(self) -> bool:
        """Whether the page lies before its cursor."""
        return self.cursor is not None and self.cursor.back


def fetch_page(
    visible: ScopedSelect, schema: Schema, query: PageQuery, item_id: UUID | None = None
) -> Page:
    """The page that the request's parameters ask for, in one SQL round trip (two with a count).

    Args:
        item_id: of the item that all of it belongs to, which the path names.

    Raises:
        Problem: 422 for the parameters, 400 for a cursor that does not go with them.
    """
    asked = ListQuery.of_request(query)
    check_filter_permissions(query, asked.filters)
    names = tuple(sorted(asked.filters))
    binds = {"item_id": item_id, **authorization.caller_params(), **asked.values}
    count: dict[str, int] = {}
    if asked.count != "none":
        count["count"] = _count(_matching(visible, query, names), binds, asked.count)
    if asked.cursor:
        binds |= {"after_key": asked.cursor.key, "after_id": asked.cursor.id}
    statement = _select_page(
        visible,
        schema,
        query,
        names,
        asked.sort,
        asked.limit + 1,
        asked.cursor is not None,
        asked.back,
        authorization.session_is_valid_clause(),
    )
    rows, etag = _read(
        statement, binds, schema, sign_for_list(strict_json.dumps([schema.column_names, count]))
    )
    more = len(rows) > asked.limit
    del rows[asked.limit :]
    if asked.back:
        rows.reverse()

    def cursor_at(row: Any, *, back: bool) -> str:
        return PageCursor(asked.sort, asked.filters, back, row.sort_key, row.id).dumps()

    has_next = bool(rows) and (more or asked.back)
    has_prev = bool(rows) and asked.cursor is not None and (more or not asked.back)
    next_cursor = cursor_at(rows[-1], back=False) if has_next else None
    prev_cursor = cursor_at(rows[0], back=True) if has_prev else None
    link = None
    if asked.cursor or next_cursor:
        link = _link({"first": "", "prev": prev_cursor, "next": next_cursor}, asked.filters)
    return Page(rows, schema, {"next_cursor": next_cursor, **count}, link, etag)


_EMPTY = md5(b"[]", usedforsecurity=False).hexdigest()  # of no rows


def _read(
    statement: Select[Any], binds: Mapping[str, Any], schema: Schema, beside: str
) -> tuple[list[Any], str]:
    """The rows, and the ETag of them and of what is beside them.

    Where id and version tell all and the caller has a page already, PostgreSQL makes the digest,
    and sends the rows only of another one.
    """
    held, suffix = get_condition_header("If-None-Match"), f'-{beside[:8]}"'
    by_version = schema.etag_columns == ("id", "version")
    if held and by_version and db.engine.dialect.name == "postgresql":
        told = {**binds, "held": held, "suffix": suffix}
        rows = list(execute.fetch_autocommit(_rows_unless_etag_matches(statement), told))
        digest = rows[0].digest
        rows = [row for row in rows if row.id]
    else:
        rows = list(execute.fetch_autocommit(statement, binds))
        digest = etag_digest(schema, rows)
    if digest == _EMPTY:
        authorization.require_valid_session()
    return rows, f'"{digest}{suffix}'


@lru_cache(maxsize=1024)
def _rows_unless_etag_matches(statement: Select[Any]) -> Select[Any]:
    held, suffix = (bindparam(name, type_=SQLText()) for name in ("held", "suffix"))
    page = statement.cte("page")
    states = func.string_agg(func.concat('["', page.c.id, '",', page.c.version, "]"), ",")
    made = select(func.md5(func.concat("[", states, "]")).label("digest")).cte("made")
    known = func.strpos(held, func.concat(made.c.digest, suffix))
    return select(*page.c, made.c.digest).select_from(made.outerjoin(page, known == 0))


def _count(matching: Select[Any], binds: Mapping[str, Any], how: str) -> int:
    """How many rows match; estimated, it is what PostgreSQL's planner expects, at no cost."""
    if how == "estimated" and db.engine.dialect.name == "postgresql":
        plan = execute.fetch_autocommit(explain(matching), binds)[0][0]
        return int(plan[0]["Plan"]["Plan Rows"])
    return int(execute.fetch_autocommit(_counted(matching), binds)[0][0])


@lru_cache(maxsize=256)
def _counted(matching: Select[Any]) -> Select[Any]:
    return matching.with_only_columns(func.count(), maintain_column_froms=True)


class explain(Executable, ClauseElement):  # noqa: N801 - reads as a statement
    """PostgreSQL's plan of a statement, as JSON."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(explain)
def _explain(element: explain, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **kwargs)}"


@lru_cache(maxsize=1024)
def _select_page(
    visible: ScopedSelect,
    schema: Schema,
    query: PageQuery,
    filters: tuple[str, ...],
    sort: str,
    rows: int,
    after: bool,
    back: bool,
    alive: ColumnElement[bool] | None,
) -> Select[Any]:
    model = model_of(visible)
    key = _sort_key(query, sort)
    descending = sort.startswith("-") != back
    columns = [*schema.columns(model), key.label("sort_key")]
    statement: Select[Any] = _matching(visible, query, filters).with_only_columns(*columns)
    # Said twice, a search seems as rare as most are. PostgreSQL takes a word that is not among the
    # most common for one in 200 rows, and would look for it row by row in the order of the sort.
    statement = statement.where(*(c for c in _conditions(query, filters) if isinstance(c, matches)))
    if alive is not None:
        statement = statement.where(alive)
    if after:
        here = tuple_(key, model.id)
        there = tuple_(bindparam("after_key", type_=key.type), bindparam("after_id", type_=Uuid()))
        statement = statement.where(here < there if descending else here > there)
    statement = statement.order_by(*_order(key, model, descending))
    # As a parameter it would be planned for anew each time: for any number of rows PostgreSQL takes
    # another plan than for a few. Planning costs more than reading them.
    return statement.limit(literal_column(str(rows), SQLInteger()))


@lru_cache(maxsize=1024)
def build_list_query(
    visible: ScopedSelect, schema: Schema, query: PageQuery, filters: tuple[str, ...], sort: str
) -> Select[Any]:
    """Everything that a list walks through page by page; each filter is bound as `filter_{name}`.

    Args:
        filters: the names of those given, sorted.
    """
    model = model_of(visible)
    statement = _matching(visible, query, filters).with_only_columns(*schema.columns(model))
    return statement.order_by(*_order(_sort_key(query, sort), model, sort.startswith("-")))


def _sort_key(query: PageQuery, sort: str) -> Any:
    return query.fields["sort"].keys[sort.removeprefix("-")]  # type: ignore[attr-defined]


def _order(key: Any, model: type[Any], descending: bool) -> tuple[Any, Any]:
    return (key.desc(), model.id.desc()) if descending else (key, model.id)


def _link(cursors: Mapping[str, str | None], given: Mapping[str, str]) -> str:
    kept = {k: v for k, v in request.args.items() if k in ("limit", "count", "sort")} | dict(given)
    base = _url(request.scheme, request.host, request.root_path, request.path)
    query = urlencode(kept)

    def url(cursor: str) -> str:
        parameters = "&".join(filter(None, (query, cursor and f"cursor={cursor}")))
        return f"{base}?{parameters}" if parameters else base

    return ", ".join(f'<{url(c)}>; rel="{rel}"' for rel, c in cursors.items() if c is not None)


_url = lru_cache(maxsize=1024)(get_current_url)  # costs as much as a page's rows

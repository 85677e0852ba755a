"""The SELECT statements of lists. Each is built once and kept, as its compilation is.

# docs/decisions.md#8-keyset-pagination
"""

from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ClauseElement,
    ColumnElement,
    Executable,
    Select,
    Text,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy import Integer as SQLInteger
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, apply_filters, filter_conditions
from app.core.resources.repository import ScopedSelect
from app.core.resources.statements import model_of
from app.core.schemas.base import Schema


class PageShape(NamedTuple):
    """What makes the statement of a page another one; its values are bind parameters."""

    filters: tuple[str, ...]  # the names of those that are set, sorted
    sort: str
    rows: int
    has_cursor: bool
    backwards: bool

    @property
    def is_descending(self) -> bool:
        """The order in which the statement reads, which is reversed for a page backwards."""
        return self.sort.startswith("-") != self.backwards


@lru_cache(maxsize=1024)
def select_page(
    scoped: ScopedSelect,
    schema: Schema,
    query: PageQuery,
    shape: PageShape,
    session_is_valid: ColumnElement[bool] | None,
) -> Select[Any]:
    """The rows of a page with their `sort_key`, in the order of `shape.is_descending`."""
    model = model_of(scoped)
    key = _sort_key(query, shape.sort)
    columns = [*schema.columns(model), key.label("sort_key")]
    statement = apply_filters(scoped, query, shape.filters).with_only_columns(*columns)
    # Stated twice, a search is estimated as rare as most are. PostgreSQL expects a word that is not
    # among the most common in one of 200 rows, and would search row by row in the sort's order.
    conditions = filter_conditions(query, shape.filters)
    statement = statement.where(*(c for c in conditions if isinstance(c, matches)))
    if session_is_valid is not None:
        statement = statement.where(session_is_valid)
    if shape.has_cursor:
        here = tuple_(key, model.id)
        there = tuple_(bindparam("after_key", type_=key.type), bindparam("after_id", type_=Uuid()))
        statement = statement.where(here < there if shape.is_descending else here > there)
    statement = statement.order_by(*_order(key, model.id, shape.is_descending))
    # As a parameter it would be planned each time: PostgreSQL's plan for any number of rows differs
    # from that for a few, and planning costs more than reading them.
    return statement.limit(literal_column(str(shape.rows), SQLInteger()))


@lru_cache(maxsize=1024)
def select_page_unless_held(page: Select[Any], is_descending: bool) -> Select[Any]:
    """The rows of a page, or none where the caller has them; for PostgreSQL.

    Binds `held`, an array of digests. The columns `digest`, the one of the page, and `is_held` are
    in every row. There is always a row: one whose `id` is NULL where there are no others.

    The digest is that of `Schema.etag_digest`, whose rows are in the order of the statement.
    """
    rows = page.cte("page")
    order = _order(rows.c.sort_key, rows.c.id, is_descending)
    state = func.concat('["', rows.c.id, '",', rows.c.version, "]")
    # Without its own order an aggregate may read the rows in any.
    states = func.string_agg(state, aggregate_order_by(literal_column("','"), *order))
    digest = select(func.md5(func.concat("[", states, "]")).label("digest")).cte("digest")
    is_held = digest.c.digest == func.any(bindparam("held", type_=ARRAY(Text())))
    return (
        select(*rows.c, digest.c.digest, is_held.label("is_held"))
        .select_from(digest.outerjoin(rows, ~is_held))
        .order_by(*order)
    )


@lru_cache(maxsize=1024)
def build_list_query(
    scoped: ScopedSelect, schema: Schema, query: PageQuery, filters: tuple[str, ...], sort: str
) -> Select[Any]:
    """All rows of a list in its order; each filter is the bind parameter `filter_{name}`.

    Args:
        filters: the names of those that are set, sorted.
    """
    model = model_of(scoped)
    statement = apply_filters(scoped, query, filters).with_only_columns(*schema.columns(model))
    return statement.order_by(*_order(_sort_key(query, sort), model.id, sort.startswith("-")))


def _sort_key(query: PageQuery, sort: str) -> Any:
    return query.fields["sort"].keys[sort.removeprefix("-")]  # type: ignore[attr-defined]


def _order(key: Any, id_: Any, is_descending: bool) -> tuple[Any, Any]:
    return (key.desc(), id_.desc()) if is_descending else (key, id_)


@lru_cache(maxsize=256)
def select_count(matching: Select[Any]) -> Select[Any]:
    """The number of rows."""
    return matching.with_only_columns(func.count(), maintain_column_froms=True)


class explain(Executable, ClauseElement):  # noqa: N801 - reads as a statement
    """PostgreSQL's plan of a statement, as JSON."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(explain)
def _explain(element: explain, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **kwargs)}"

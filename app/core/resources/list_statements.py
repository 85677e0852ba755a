"""The SELECT statements of lists. Each is built once and kept, as its compilation is."""

from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.core.database.full_text import matches
from app.core.resources.filters import PageQuery, apply_filters, filter_conditions
from app.core.resources.scoped_query import ScopedSelect
from app.core.resources.statements import ITEM_ID_PARAM, model_of
from app.core.schemas.base import Schema


class PageShape(NamedTuple):
    """What the statement of a page depends on; the values are bind parameters."""

    filters: tuple[str, ...]  # the names of those that are set, sorted
    sort: str
    rows: int
    has_cursor: bool
    backwards: bool

    @property
    def is_descending(self) -> bool:
        """The order in which the statement reads, which is reversed for a page backwards."""
        return self.sort.startswith("-") != self.backwards


@lru_cache(maxsize=256)
def below_parent(scoped: ScopedSelect, parents: ScopedSelect) -> ScopedSelect:
    """The scoped query, without rows if the parent, by `item_id`, is not in its own."""
    ids = parents.with_only_columns(model_of(parents).id)
    # Not correlated: the scoped query may join the table of the parents.
    parent = ids.where(model_of(parents).id == ITEM_ID_PARAM).correlate(None)
    return scoped.where(parent.exists())


@lru_cache(maxsize=1024)
def select_page(
    scoped: ScopedSelect,
    schema: Schema,
    query: PageQuery,
    shape: PageShape,
    session_is_valid: sa.ColumnElement[bool] | None,
) -> sa.Select[Any]:
    """The rows of a page with their `sort_key`, in the order of `shape.is_descending`."""
    model = model_of(scoped)
    key = _sort_key(query, shape.sort)
    columns = [*schema.columns(model), key.label("sort_key")]
    statement = apply_filters(scoped, query, shape.filters).with_only_columns(*columns)
    # PostgreSQL expects an uncommon word in one of 200 rows, and would search row by row in the
    # order of the sort. Stated twice, the condition is estimated as selective as it mostly is:
    # docs/decisions.md#11-search-condition-repeated
    conditions = filter_conditions(query, shape.filters)
    statement = statement.where(*(c for c in conditions if isinstance(c, matches)))
    if session_is_valid is not None:
        statement = statement.where(session_is_valid)
    if shape.has_cursor:
        # The cost does not grow with the depth: docs/decisions.md#8-keyset-pagination
        here = sa.tuple_(key, model.id)
        there = sa.tuple_(
            sa.bindparam("after_key", type_=key.type), sa.bindparam("after_id", type_=sa.Uuid())
        )
        statement = statement.where(here < there if shape.is_descending else here > there)
    # An order of the scoped query would come first, and lose rows of the next page.
    statement = statement.order_by(None).order_by(*_order(key, model.id, shape.is_descending))
    # With a parameter PostgreSQL plans each execution, which costs more than reading the rows:
    # docs/decisions.md#10-number-of-rows-as-a-literal
    return statement.limit(sa.literal_column(str(shape.rows), sa.Integer()))


@lru_cache(maxsize=1024)
def select_page_unless_etag_matches(page: sa.Select[Any], is_descending: bool) -> sa.Select[Any]:
    """The rows of a page, or none where one of the given digests matches; for PostgreSQL.

    Binds `digests`, an array. Every row has the columns `digest`, that of the page, and `matches`.
    There is always a row; its `id` is NULL where there are no others. The digest is the one that
    `etag_digest` computes of the rows in the same order.
    """
    rows = page.cte("page")
    order = _order(rows.c.sort_key, rows.c.id, is_descending)
    state = sa.func.concat('["', rows.c.id, '",', rows.c.version, "]")
    # Without its own order an aggregate may read the rows in any.
    states = sa.func.string_agg(state, aggregate_order_by(sa.literal_column("','"), *order))
    digest = sa.select(sa.func.md5(sa.func.concat("[", states, "]")).label("digest")).cte("digest")
    matching = digest.c.digest == sa.func.any(sa.bindparam("digests", type_=sa.ARRAY(sa.Text())))
    return (
        sa.select(*rows.c, digest.c.digest, matching.label("matches"))
        .select_from(digest.outerjoin(rows, ~matching))
        .order_by(*order)
    )


@lru_cache(maxsize=1024)
def build_list_query(
    scoped: ScopedSelect, schema: Schema, query: PageQuery, filters: tuple[str, ...], sort: str
) -> sa.Select[Any]:
    """All rows of a list in its order; each filter is the bind parameter `filter_{name}`.

    Args:
        filters: the names of those that are set, sorted.
    """
    model = model_of(scoped)
    statement = apply_filters(scoped, query, filters).with_only_columns(*schema.columns(model))
    order = _order(_sort_key(query, sort), model.id, sort.startswith("-"))
    return statement.order_by(None).order_by(*order)


def _sort_key(query: PageQuery, sort: str) -> Any:
    return query.fields["sort"].keys[sort.removeprefix("-")]  # type: ignore[attr-defined]


def _order(key: Any, id_: Any, is_descending: bool) -> tuple[Any, Any]:
    return (key.desc(), id_.desc()) if is_descending else (key, id_)


@lru_cache(maxsize=256)
def select_count(statement: sa.Select[Any]) -> sa.Select[Any]:
    """The number of rows of a statement."""
    return statement.with_only_columns(sa.func.count(), maintain_column_froms=True)


class explain(sa.Executable, sa.ClauseElement):  # noqa: N801 - reads as a statement
    """PostgreSQL's plan of a statement, as JSON."""

    inherit_cache = False

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement


@compiles(explain)
def _explain(element: explain, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **kwargs)}"

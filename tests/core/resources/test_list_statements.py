"""PostgreSQL's plans of lists: index scans at any depth, for every sort, in both directions."""

import random
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Engine, insert

from app.core.database.listeners import on_statement
from app.extensions import db
from tests.api import Api, Caller
from tests.articles.demo import sample_article
from tests.articles.models import Article
from tests.articles.schemas import ArticleQuery
from tests.conftest import on_postgresql
from tests.errands.models import PRIORITIES, Errand
from tests.errands.schemas import ErrandQuery

ROWS = 20_000


DEPTH = 2_000


LISTS = {"articles": ArticleQuery, "errands": ErrandQuery}


EVERY_SORT = [
    (path, sort)
    for path, query in LISTS.items()
    for sort in query().fields["sort"].validators[1].choices
]


@pytest.fixture
def filled(app: Flask, api: Api, user: Caller) -> Caller:
    """Many articles, and as many errands of one user, analyzed."""
    dice = random.Random(1)
    with app.app_context():
        errands = [
            {
                "owner_id": user.id,
                "title": f"errand {dice.random()}",
                "priority": dice.choice(PRIORITIES),
            }
            for _ in range(ROWS)
        ]
        db.session.execute(insert(Article), [sample_article(number) for number in range(ROWS)])
        db.session.execute(insert(Errand), errands)
        db.session.commit()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    return user


def plan_of(app: Flask, call: Any) -> dict[str, Any]:
    """The executed plan of the one statement that a call sends."""
    plans = []

    def explain(engine: Engine, statement: str, values: Any) -> None:
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as other:
            sql = f"EXPLAIN (ANALYZE, FORMAT JSON, BUFFERS) {statement}"
            plans.append(other.execute(sql, values).fetchone()[0][0]["Plan"])

    remove = on_statement(explain)
    try:
        call()
    finally:
        remove()
    (plan,) = plans
    return plan


def deep_in(api: Api, path: str, sort: str, by: Caller) -> str:
    """A cursor `DEPTH` rows behind the first page."""
    cursor = ""
    for _ in range(DEPTH // 100):
        rest = f"&cursor={cursor}" if cursor else ""
        page = api.get(f"{path}?sort={sort}&limit=100{rest}", by=by, status=200)
        cursor = page.json["next_cursor"]
    return cursor


@pytest.mark.slow
@on_postgresql
def test_page_reads_one_index_and_sorts_nothing_at_any_depth(
    app: Flask, api: Api, filled: Caller
) -> None:
    for path, sort in EVERY_SORT:
        url = f"{path}?sort={sort}&limit=20"
        first = plan_of(app, lambda url=url: api.get(url, by=filled, status=200))
        url += f"&cursor={deep_in(api, path, sort, filled)}"
        deep = plan_of(app, lambda url=url: api.get(url, by=filled, status=200))
        for plan in (first, deep):
            assert steps(plan) in (["Limit", "Index Scan"], ["Limit", "Result", "Index Scan"])
        assert pages_read(deep) <= 2 * pages_read(first), (path, sort)


@pytest.mark.slow
@on_postgresql
def test_full_text_search_for_an_unknown_word_uses_its_index(
    app: Flask, api: Api, filled: Caller
) -> None:
    """An index in the order of the sort would be slow in a large table."""
    plan = plan_of(app, lambda: api.get("articles?q=12345", by=filled, status=200))
    assert steps(plan)[-2:] == ["Bitmap Heap Scan", "Bitmap Index Scan"]
    assert plan["Plan Rows"] == 1


def steps(plan: dict[str, Any]) -> list[str]:
    """The nodes of a plan, except the check of the session (`InitPlan`)."""
    below = [p for p in plan.get("Plans", ()) if p["Parent Relationship"] != "InitPlan"]
    return [plan["Node Type"], *(step for each in below for step in steps(each))]


def pages_read(plan: dict[str, Any]) -> int:
    """The blocks that a plan read, plus 10 for the depth of the index."""
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] + 10

"""Conditional reads of pages."""

from itertools import product

import pytest
from sqlalchemy import select

from app.core.resources.blueprint import Blueprint
from app.core.resources.scoped_query import ScopedSelect
from app.core.security.authorization import public
from tests.api import Api
from tests.articles.models import Article
from tests.articles.schemas import ArticleQuery, ArticleSchema
from tests.conftest import MakeApp

PRODUCT = {"name": "Mug", "category": "kitchen", "price": "1.00", "currency": "EUR"}


PATHS = ("articles", "articles?limit=2", "articles?sort=-name&limit=3", "articles?count=exact")


@pytest.fixture
def stocked(api: Api) -> Api:
    by = api.sign_up("editor")
    for number in (3, 1, 5, 2, 4):
        body = PRODUCT | {"sku": f"MUG-{number}", "name": f"Mug {number % 3}"}
        api.post("articles", body, by=by, status=201)
    return api


SIMILAR = ('"x{tag}"', '"{tag}x"', '"x{tag}x"', '"y" "{tag}x"', "{tag}", "'{tag}'", '"{digest}"')
EQUAL = ("{tag}", "W/{tag}", '"x", {tag}', "{other}, W/{tag}", "*")


def test_page_with_a_similar_entity_tag_is_200(stocked: Api, subtests: pytest.Subtests) -> None:
    for path, condition in product(PATHS, SIMILAR):
        with subtests.test(path=path, condition=condition):
            first = stocked.get(path, status=200)
            tag = first.headers["ETag"].strip('"')
            sent = condition.format(tag=tag, digest=tag.partition("-")[0])
            again = stocked.get(path, headers={"If-None-Match": sent}, status=200)
            assert again.headers["ETag"] == first.headers["ETag"]
            assert again.data == first.data


def test_page_with_its_entity_tag_is_304(stocked: Api, subtests: pytest.Subtests) -> None:
    other = stocked.get("articles?sort=price&limit=1", status=200).headers["ETag"]
    for path, condition in product(PATHS, EQUAL):
        with subtests.test(path=path, condition=condition):
            tag = stocked.get(path, status=200).headers["ETag"]
            sent = condition.format(tag=tag, other=other)
            response = stocked.get(path, headers={"If-None-Match": sent}, status=304)
            assert response.headers["ETag"] == tag
            assert response.data == b""


def test_page_with_a_stale_entity_tag_equals_an_unconditional_read(stocked: Api) -> None:
    for sort in ("name", "-name", "price", "-price", "created_at", "-created_at"):
        path = f"articles?sort={sort}&limit=2"
        stale = stocked.get(path, status=200)
        stocked.post("articles", PRODUCT | {"sku": f"NEW-{sort}"}, by=stocked.sign_up("editor"))
        while path:
            plain = stocked.get(path, status=200)
            held = stale.headers["ETag"]
            conditional = stocked.get(path, headers={"If-None-Match": held})
            if plain.headers["ETag"] == held:
                assert conditional.status_code == 304
            else:
                assert conditional.data == plain.data
                assert conditional.headers["ETag"] == plain.headers["ETag"]
            cursor = plain.json["next_cursor"]
            path = f"articles?limit=2&cursor={cursor}" if cursor else ""


def test_previous_page_has_one_entity_tag_with_and_without_a_condition(stocked: Api) -> None:
    second = stocked.get("articles?sort=name&limit=2", status=200).json["next_cursor"]
    link = stocked.get(f"articles?limit=2&cursor={second}", status=200).headers["Link"]
    path = link.partition('>; rel="prev"')[0].rpartition("<")[2].partition("/api/v1/")[2]
    tag = stocked.get(path, status=200).headers["ETag"]
    assert stocked.get(path, headers={"If-None-Match": tag}, status=304).headers["ETag"] == tag


LONGEST = {
    "control characters": {"category": "\x01" * 100, "q": "Mug" + "\x01" * 197},
    "four bytes each": {"category": "\U0001f375" * 100, "q": "Mug " + "\U0001f375" * 196},
    "quotes": {"category": '"' * 100, "q": "Mug " + "\\" * 196},
}


@pytest.mark.parametrize("filters", LONGEST.values(), ids=LONGEST)
@pytest.mark.parametrize("with_q", [True, False])
def test_cursor_of_the_longest_filters_and_sort_key_is_accepted(
    api: Api, filters: dict[str, str], with_q: bool
) -> None:
    by = api.sign_up("editor")
    category = filters["category"]
    for number in range(4):
        name = f"{number} Mug {category[0] * 194}"
        body = PRODUCT | {"sku": f"MUG-{number}", "name": name, "category": category}
        api.post("articles", body, by=by, status=201)
    query = {"limit": "1", "sort": "name", "price_min": "0.0001", "category": category}
    query |= {"q": filters["q"]} if with_q else {}
    page, names = api.get("articles", query_string=query, status=200), []
    while items := page.json["items"]:
        names.append(items[0]["name"])
        cursor = page.json["next_cursor"]
        if cursor is None:
            break
        page = api.get("articles", query_string={"limit": "1", "cursor": cursor}, status=200)
    assert with_q or [name[0] for name in names] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "filters",
    [
        {"price_min": "0" * 3500 + "1"},
        {"price_min": "0." + "0" * 3500},
        {"created_from": f"2020-01-01T00:00:00.{'0' * 3500}Z"},
    ],
    ids=str,
)
def test_filter_that_fits_in_no_cursor_is_422_and_named(
    stocked: Api, filters: dict[str, str]
) -> None:
    refused = stocked.get("articles", query_string={"limit": "1", **filters}, status=422)
    assert [error["parameter"] for error in refused.json["errors"]] == list(filters)


def test_order_of_a_scoped_query_does_not_change_that_of_its_list(
    make_app: MakeApp, stocked: Api
) -> None:
    newest_first = select(Article).order_by(Article.created_at.desc())
    mugs = Blueprint("mugs", __name__, url_prefix="/mugs", description="Mugs.")

    @mugs.get("", access=public)
    @mugs.paginated(ArticleSchema, ArticleQuery)
    def list_mugs() -> ScopedSelect:
        """List mugs."""
        return newest_first

    page = Api(make_app(mugs)).get("mugs?sort=name&limit=3", status=200).json
    rest = Api(make_app(mugs)).get(f"mugs?sort=name&limit=3&cursor={page['next_cursor']}").json
    names = [item["name"] for item in page["items"] + rest["items"]]
    assert names == sorted(names)
    assert len(names) == 5

"""Lists of every resource: keyset pagination for every sort key, in both directions."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.core.database.ids import uuid7
from app.core.resources.cursor import PageCursor
from tests.contract.operations import COLLECTIONS, CREATES, Operation, ids
from tests.contract.world import LONG, World, links, longest, walk

ROWS = 7
SORTED = ("sort=created_at", "sort=-created_at")
WRONG = [
    *(f"limit={text}" for text in ("0", "101", "-1", "abc", "1_0", "", "%D9%A1", "1&limit=2")),
    "sort=nothing",
    "nothing=1",
]


@pytest.fixture
def filled(world: World, operation: Operation) -> World:
    """A world with rows of the resource; several have equal sort keys and differ by id only."""
    create = next(c for c in CREATES if c.rule == operation.rule)
    for _ in range(ROWS):
        assert world.call(create, world.writer(create)).status_code == 201
    return world


def sorts(operation: Operation) -> list[str]:
    """The values of the list's `sort` parameter."""
    return operation.parameters["sort"]["enum"]


every_list = pytest.mark.parametrize("operation", COLLECTIONS, ids=ids)


def found(pages: list[dict]) -> list[str]:
    return [item["id"] for page in pages for item in page["items"]]


@every_list
def test_small_pages_contain_the_same_items_as_one_large_page(
    filled: World, operation: Operation, subtests: pytest.Subtests
) -> None:
    for sort in sorts(operation):
        with subtests.test(sort=sort):
            check_small_pages(filled, operation, sort)


def check_small_pages(filled: World, operation: Operation, sort: str) -> None:
    path = f"{operation.rule}?sort={sort}"
    whole = found(walk(filled, operation, f"{path}&limit=100"))
    assert len(whole) >= ROWS
    assert len(set(whole)) == len(whole)
    assert found(walk(filled, operation, f"{path}&limit=2")) == whole
    assert (
        whole
        == found(walk(filled, operation, f"{operation.rule}?sort={opposite(sort)}&limit=3"))[::-1]
    )


def opposite(sort: str) -> str:
    return sort[1:] if sort.startswith("-") else f"-{sort}"


@every_list
def test_prev_links_lead_through_the_same_pages(
    filled: World, operation: Operation, subtests: pytest.Subtests
) -> None:
    for sort in sorts(operation):
        with subtests.test(sort=sort):
            check_prev_links(filled, operation, sort)


def check_prev_links(filled: World, operation: Operation, sort: str) -> None:
    by = filled.writer(operation)
    there = walk(filled, operation, f"{operation.rule}?sort={sort}&limit=2")
    last = filled.api.get(
        f"{operation.rule}?sort={sort}&limit=2&cursor={there[-2]['next_cursor']}", by=by
    )
    back = walk(filled, operation, links(last)["prev"], rel="prev")
    assert [page["items"] for page in back[::-1]] == [page["items"] for page in there[:-1]]


@every_list
def test_cursor_keeps_the_sort_order(filled: World, operation: Operation) -> None:
    first = filled.api.get(f"{operation.rule}?sort=created_at&limit=2", by=filled.writer(operation))
    rest = walk(filled, operation, f"{operation.rule}?limit=100&cursor={first.json['next_cursor']}")
    whole = walk(filled, operation, f"{operation.rule}?sort=created_at&limit=100")
    assert found([first.json, *rest]) == found(whole)


@every_list
def test_page_with_all_items_has_no_links(filled: World, operation: Operation) -> None:
    page = filled.api.get(f"{operation.rule}?limit=100", by=filled.writer(operation), status=200)
    assert page.json["next_cursor"] is None
    assert "Link" not in page.headers


@every_list
def test_forged_cursor_is_refused(world: World, operation: Operation) -> None:
    for cursor in ("x", "", "a.b.c", "W10.x", "%00", "é"):
        response = world.api.get(f"{operation.rule}?cursor={cursor}", by=world.writer(operation))
        assert response.status_code in (400, 422), cursor


@every_list
def test_cursor_of_another_sort_or_list_is_400(filled: World, operation: Operation) -> None:
    by = filled.writer(operation)
    first = filled.api.get(f"{operation.rule}?limit=2&sort=created_at", by=by, status=200)
    cursor = first.json["next_cursor"]
    filled.api.get(f"{operation.rule}?sort=-created_at&cursor={cursor}", by=by, status=400)
    filled.api.get(f"{operation.rule}?cursor={cursor[:-1]}!", by=by, status=400)
    elsewhere = next(o for o in COLLECTIONS if o.rule != operation.rule)
    filled.api.get(f"{elsewhere.rule}?cursor={cursor}", by=filled.admin, status=400)


@every_list
def test_page_contains_the_count_when_requested(filled: World, operation: Operation) -> None:
    by = filled.writer(operation)
    exact = filled.api.get(f"{operation.rule}?limit=2&count=exact", by=by, status=200).json
    everything = filled.api.get(f"{operation.rule}?limit=100", by=by, status=200).json
    assert exact["count"] == len(everything["items"])
    assert "count" not in everything
    estimated = filled.api.get(f"{operation.rule}?limit=2&count=estimated", by=by, status=200)
    assert estimated.json["count"] >= 0


@every_list
def test_get_page_with_matching_if_none_match_is_304(filled: World, operation: Operation) -> None:
    by = filled.writer(operation)
    first = filled.api.get(operation.rule, by=by, status=200)
    again = filled.api.get(
        operation.rule, by=by, headers={"If-None-Match": first.headers["ETag"]}, status=304
    )
    assert again.data == b""
    assert again.headers["ETag"] == first.headers["ETag"]


@every_list
def test_pages_with_equal_etags_have_equal_bodies(filled: World, operation: Operation) -> None:
    create = next(c for c in CREATES if c.rule == operation.rule)
    by, bodies = filled.writer(operation), {}
    for _ in range(2):
        for query in ("", "limit=3", "limit=4", "count=exact", "limit=3&count=exact", *SORTED):
            page = filled.api.get(f"{operation.rule}?{query}", by=by, status=200)
            assert bodies.setdefault(page.headers["ETag"], page.data) == page.data
        filled.call(create, filled.writer(create))
    assert len(bodies) > 8


@every_list
def test_list_with_invalid_parameter_is_422_and_names_it(
    world: World, operation: Operation, subtests: pytest.Subtests
) -> None:
    by = world.writer(operation)
    for query in WRONG:
        with subtests.test(query=query):
            response = world.api.get(f"{operation.rule}?{query}", by=by, status=422)
            assert response.json["errors"][0]["parameter"] == query.partition("=")[0]


@every_list
def test_rows_created_during_paging_do_not_shift_other_rows(
    filled: World, operation: Operation
) -> None:
    create = next(c for c in CREATES if c.rule == operation.rule)
    by = filled.writer(operation)
    before = found(walk(filled, operation, f"{operation.rule}?sort=created_at&limit=100"))
    seen, path = [], f"{operation.rule}?sort=created_at&limit=2"
    while path:
        page = filled.api.get(path, by=by, status=200)
        seen += [item["id"] for item in page.json["items"]]
        filled.call(create, filled.writer(create))
        path = links(page).get("next") if len(seen) < 2 * ROWS else None
    assert seen[: len(before)] == before
    assert len(set(seen)) == len(seen)


def seen_by_other(world: World, path: str) -> list[Any]:
    """The items of a page for another user, who cannot see a parent either."""
    page = world.api.get(path, by=world.other, status=404 if "<" in path else 200).json
    return page.get("items", [])


@pytest.mark.parametrize("operation", [o for o in COLLECTIONS if o.is_private], ids=ids)
def test_page_contains_no_row_of_another_user(filled: World, operation: Operation) -> None:
    assert seen_by_other(filled, operation.rule) == []


@pytest.mark.parametrize("operation", [o for o in COLLECTIONS if o.is_private], ids=ids)
def test_cursor_of_another_user_reveals_none_of_their_rows(
    filled: World, operation: Operation
) -> None:
    theirs = filled.api.get(f"{operation.rule}?limit=2", by=filled.owner, status=200)
    path = f"{operation.rule}?cursor={theirs.json['next_cursor']}"
    assert seen_by_other(filled, path) == []


@every_list
def test_links_to_other_pages_have_only_limit_and_cursor(
    filled: World, operation: Operation
) -> None:
    by = filled.writer(operation)
    path = f"{operation.rule}?limit=2&count=exact&sort=created_at"
    while path:
        page = filled.api.get(path, by=by, status=200)
        found = {rel: set(parse_qs(urlsplit(url).query)) for rel, url in links(page).items()}
        assert found.pop("first") >= {"limit", "sort"}
        assert all(names == {"limit", "cursor"} for names in found.values())
        path = links(page).get("next", "")


@pytest.mark.parametrize("operation", COLLECTIONS, ids=ids)
def test_list_accepts_each_cursor_that_it_can_issue(world: World, operation: Operation) -> None:
    for character in LONG:
        check_longest_cursor(world, operation, character)


def check_longest_cursor(world: World, operation: Operation, character: str) -> None:
    filters = {n: longest(s, character) or "" for n, s in operation.parameters.items()}
    filters = {name: value for name, value in filters.items() if value and name != "cursor"}
    with world.api.app.test_request_context(world.fill(operation.rule)):
        key = character * 254
        cursor = PageCursor("-created_at", filters, True, key, uuid7()).dumps()
    assert len(cursor) <= operation.parameters["cursor"]["maxLength"]

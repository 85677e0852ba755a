"""The limits of nginx, gunicorn and the service fit each other: long queries, links and fields."""

import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from tests.contract.operations import COLLECTIONS, Operation, ids
from tests.contract.world import LONG, longest
from tests.live import Answer, Live, serve
from tests.nginx import in_front_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    settings = {"CACHE_DIR": str(folder), "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    with serve(f"sqlite:///{folder}/live.db", **settings) as live:
        yield live


@pytest.fixture(scope="module")
def site(direct: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The service behind its nginx."""
    with in_front_of(direct, tmp_path_factory.mktemp("nginx")) as nginx:
        yield replace(direct, url=f"http://127.0.0.1:{nginx.port}")


def next_url(answer: Answer, rel: str = "next") -> str:
    [url] = re.findall(rf'<([^>]*)>; rel="{rel}"', answer.headers["Link"])
    return url.partition("/api/v1/")[2]


@pytest.mark.parametrize("character", LONG, ids=ascii)
def test_pages_of_the_longest_query_are_linked_through_nginx(site: Live, character: str) -> None:
    editor = site.log_in()
    # A search compares words: x, and what follows if it is letters.
    words = f"x {character * 196}"
    category = character * 100
    made = 0
    for number in range(3):
        body = {"sku": f"LONG-{ord(character)}-{number}", "name": f"{words} {number}",
                "category": category, "price": "1.00", "currency": "EUR"}  # fmt: skip
        made += site.call("POST", "articles", body, editor).status == 201
    if not made:
        return  # such characters are no longer stored, so no query finds a second page
    filters = {"q": f'"{words}"', "category": category, "price_min": "0.00",
               "price_max": "9999999999.99", "created_from": "2020-01-01T00:00:00.000000+00:00",
               "created_to": "2120-01-01T00:00:00.000000+00:00", "currency": "EUR"}  # fmt: skip
    query = urlencode(filters | {"limit": "1", "count": "exact", "sort": "name"})
    pages = [site.call("GET", f"articles?{query}")]
    while 'rel="next"' in pages[-1].headers.get("Link", ""):
        pages.append(site.call("GET", next_url(pages[-1])))
    assert [page.status for page in pages] == [200, 200, 200]
    assert all(page.json["items"] for page in pages)
    for rel in ("next", "prev"):
        url = next_url(pages[1], rel)
        assert set(parse_qs(urlsplit(url).query)) == {"limit", "cursor"}
    back = site.call("GET", next_url(pages[1], "prev"))
    assert back.json["items"] == pages[0].json["items"]
    again = site.call("GET", next_url(pages[1], "first"))
    assert again.json["items"] == pages[0].json["items"]
    cursor = pages[0].json["next_cursor"]
    repeated = site.call("GET", f"articles?{urlencode(filters | {'limit': '1', 'cursor': cursor})}")
    assert repeated.status == 200, (len(cursor), repeated.json)
    assert repeated.json["items"] == pages[1].json["items"]
    other = site.call("GET", f"articles?category=other&cursor={quote(cursor)}")
    assert (other.status, other.json["type"]) == (400, "/problems/invalid-cursor")


@pytest.mark.parametrize("character", LONG, ids=ascii)
@pytest.mark.parametrize("operation", COLLECTIONS, ids=ids)
def test_longest_query_of_each_list_is_not_too_long_for_nginx(
    site: Live, operation: Operation, character: str
) -> None:
    values = {name: longest(schema, character) for name, schema in operation.parameters.items()}
    query = urlencode({name: value for name, value in values.items() if value})
    answer = site.call("GET", f"{operation.rule.removeprefix('/api/v1/')}?{query}")
    assert answer.status in (200, 401, 403, 404, 422)
    assert len(f"GET {operation.rule}?{query} HTTP/1.1") < 8190


@pytest.mark.parametrize("length", range(8150, 8210, 3))
def test_request_line_near_the_limit_is_answered_by_nginx_or_the_service(
    site: Live, length: int
) -> None:
    filler = "x" * (length - len("GET /api/v1/articles?q= HTTP/1.1"))
    answer = site.call("GET", f"articles?q={filler}")
    assert answer.status in (414, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("length", range(8150, 8210, 3))
def test_header_field_near_the_limit_is_answered_by_nginx_or_the_service(
    site: Live, length: int
) -> None:
    answer = site.call("GET", "articles", headers={"X-Filler": "x" * (length - len("X-Filler: "))})
    assert answer.status in (200, 431)


@pytest.mark.parametrize("number", [80, 95, 100, 120, 400])
def test_many_header_fields_are_answered_by_nginx_or_the_service(site: Live, number: int) -> None:
    answer = site.call("GET", "articles", headers={f"X-Filler-{n}": "x" for n in range(number)})
    assert answer.status in (200, 431)
    if answer.status == 431:
        assert answer.headers["Content-Type"] == "application/problem+json"

"""`/problems`: the pages of the problem types."""

from html import unescape

from app.core.web.problems import TYPES
from tests.api import Api

HTML = {"Accept": "text/html"}


def test_list_page_shows_the_default_detail_of_every_type(api: Api) -> None:
    page = unescape(api.get("/problems", headers=HTML).text)
    assert [kind.slug for kind in TYPES.values() if kind.default_detail not in page] == []


def test_page_of_a_type_shows_its_default_detail_beside_the_example(api: Api) -> None:
    page = unescape(api.get("/problems/not-found", headers=HTML).text)
    assert f"<p>{TYPES['not-found'].default_detail}</p>" in page

"""`/problems`: the pages of the problem types."""

from html import unescape

import pytest

from app.core.web.problems import TYPES
from tests.api import Api

HTML = {"Accept": "text/html"}


def test_list_page_shows_the_default_detail_of_every_type(api: Api) -> None:
    page = unescape(api.get("/problems", headers=HTML).text)
    assert [kind.slug for kind in TYPES.values() if kind.default_detail not in page] == []


def test_page_of_a_type_shows_its_default_detail_beside_the_example(api: Api) -> None:
    page = unescape(api.get("/problems/not-found", headers=HTML).text)
    assert f"<p>{TYPES['not-found'].default_detail}</p>" in page


@pytest.mark.parametrize("path", ["/problems", "/problems/not-found"])
def test_representation_of_problem_types_depends_on_accept(api: Api, path: str) -> None:
    html, json = "text/html", "application/json"
    for accept, media_type in {"*/*": html, "text/*;q=0.5, application/json": json, json: json,
                               "application/json; charset=utf-8": json}.items():  # fmt: skip
        response = api.get(path, headers={"Accept": accept}, status=200)
        assert (response.mimetype, response.headers["Vary"]) == (media_type, "Accept")
    api.get(path, headers={"Accept": "image/png"}, status=406)

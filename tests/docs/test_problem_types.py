"""`/problems`: the pages of the problem types."""

from html import unescape

import pytest

from app.core.web.problems import TYPES
from tests.api import Api
from tests.core.web.problems import check_problem

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


@pytest.mark.parametrize("slug", TYPES)
def test_problem_type_is_documented_at_its_address(api: Api, slug: str) -> None:
    page = api.get(f"/problems/{slug}", headers={"Accept": "text/html"}, status=200)
    assert page.mimetype == "text/html"
    assert TYPES[slug].title in page.text
    described = api.get(f"/problems/{slug}", headers={"Accept": "application/json"}, status=200)
    assert described.json["type"] == f"/problems/{slug}"
    assert described.json["title"] == TYPES[slug].title
    assert described.json["status"] == TYPES[slug].status


def test_all_problem_types_are_listed(api: Api) -> None:
    listed = api.get("/problems", headers={"Accept": "application/json"}, status=200)
    assert [kind["type"] for kind in listed.json["items"]] == [f"/problems/{s}" for s in TYPES]
    assert all(kind.title in api.get("/problems").text for kind in TYPES.values())


def test_unknown_problem_type_is_404(api: Api) -> None:
    check_problem(api.get("/problems/nonsense"), "not-found")

"""Query parameters."""

from urllib.parse import unquote

import pytest
from flask import Flask

from tests.api import Api, Caller, error_locations
from tests.core.web.problems import is_problem

pytestmark = pytest.mark.database_independent

NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize("name", ["q", "category", "currency", "created_from", "sort", "cursor"])
def test_nul_in_a_query_parameter_is_422(api: Api, name: str) -> None:
    response = api.get(f"articles?{name}=a%00b", status=422)
    assert error_locations(response) == {name}


@pytest.mark.parametrize(
    "path",
    [
        "articles/%00", f"articles/{NOWHERE}%00", "articles%00", "/%00", "articles/%ff",
        "articles/%ED%A0%80",
        # begin docs
        "/docs/a%00b", "/problems/%00", "/docs/..%2f..%2fpyproject.toml",
        # end docs
        f"articles/{{{NOWHERE}}}", f"articles/urn:uuid:{NOWHERE}", f"articles/{NOWHERE}0",
        "articles/9223372036854775808", "articles/-1", "/api//v1/articles",
    ],
)  # fmt: skip
def test_path_with_invalid_characters_or_id_is_404(api: Api, path: str) -> None:
    assert is_problem(api.get(path, status=404), "/not-found")


@pytest.mark.parametrize(
    "value",
    ["1_000", "%D9%A1%D9%A2", "abc", "0", "101", "-1", "%2B5", "5.0", "1e1", "0x10", "", "%205",
     "5%0A", "9" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("path", ["articles", "errands"])
def test_limit_that_is_no_number_from_1_to_100_is_422(
    api: Api, user: Caller, path: str, value: str
) -> None:
    assert error_locations(api.get(f"{path}?limit={value}", by=user, status=422)) == {"limit"}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("in_stock=1", "in_stock"),
        ("in_stock=True", "in_stock"),
        ("price_min=1_0", "price_min"),
        ("price_min=%D9%A1", "price_min"),
        ("price_max=1e3", "price_max"),
        ("price_max=-1", "price_max"),
        ("currency=eur", "currency"),
        ("sort=id", "sort"),
        ("q=", "q"),
        ("created_from=2024-01-01", "created_from"),
        ("created_from=20240101T000000Z", "created_from"),
        ("created_from=2024-W01-1T00:00:00Z", "created_from"),
        ("created_to=2024-01-01T00:00:00", "created_to"),
        ("created_to=9999-12-31T23:59:59-23:59", "created_to"),
        ("created_to=2024-02-30T00:00:00Z", "created_to"),
    ],
)
def test_malformed_filter_is_422(api: Api, query: str, name: str) -> None:
    assert error_locations(api.get(f"articles?{query}", status=422)) == {name}


@pytest.mark.parametrize("name", ["limit[]", "LIMIT", "access_token", "%D9%A1", ""])
@pytest.mark.parametrize("path", ["articles", f"articles/{NOWHERE}"])
def test_unknown_parameter_is_422(api: Api, path: str, name: str) -> None:
    assert error_locations(api.get(f"{path}?{name}=1", status=422)) == {unquote(name)}


@pytest.mark.parametrize("query", ["limit=5&limit=5", "q=a&q=b", "limit=5&%6cimit=6"])
def test_repeated_parameter_is_422(api: Api, query: str) -> None:
    response = api.get(f"articles?{query}", status=422)
    assert len(error_locations(response)) == 1
    assert [e["detail"] for e in response.json["errors"]] == ["Parameter must not be repeated."]


def test_repeated_unknown_parameter_is_422(api: Api) -> None:
    assert error_locations(api.get(f"articles/{NOWHERE}?a=1&a=2", status=422)) == {"a"}


def test_all_invalid_parameters_are_reported_at_once(api: Api) -> None:
    response = api.get("articles?limit=0&sort=id&nonsense=1&in_stock=maybe", status=422)
    assert error_locations(response) == {"limit", "sort", "nonsense", "in_stock"}


@pytest.mark.parametrize("text", ["%ff", "%ED%A0%80", "%C0%80", "a%80b"])
@pytest.mark.parametrize("path", ["articles", f"articles/{NOWHERE}"])
def test_query_that_is_not_utf_8_is_400(api: Api, path: str, text: str) -> None:
    assert is_problem(api.get(f"{path}?q={text}", status=400), "/bad-request")


def test_query_of_raw_bytes_is_400(app: Flask) -> None:
    environ = {"QUERY_STRING": "q=\xff"}
    response = app.test_client().get("/api/v1/articles", environ_overrides=environ)
    assert response.status_code == 400


@pytest.mark.parametrize("cursor", ["abc", "%C3%A9", ".", "..", "e30.AAAA", "x" * 4096])
def test_invalid_cursor_is_400(api: Api, cursor: str) -> None:
    assert is_problem(api.get(f"articles?cursor={cursor}", status=400), "/invalid-cursor")

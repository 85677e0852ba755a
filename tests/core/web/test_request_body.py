"""What comes in: strict JSON, strict queries, bounded bodies. Nothing odd is stored or a 500."""

import io
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api import Api, Caller, places
from tests.conftest import MakeApp

NOWHERE = "00000000-0000-7000-8000-000000000000"
MUG = '"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"'

NO_JSON = {
    "empty": b"",
    "blank": b" \n",
    "NaN": b'{%s, "stock": NaN}',
    "Infinity": b'{%s, "stock": Infinity}',
    "minus Infinity": b'{%s, "stock": -Infinity}',
    "beyond a double": b'{%s, "stock": 1e999}',
    "5,000 digits": b'{%s, "stock": ' + b"1" * 5000 + b"}",
    "leading zero": b'{%s, "stock": 01}',
    "a name twice": b'{%s, "sku": "OTHER"}',
    "a name twice, escaped": b'{%s, "\\u0073ku": "OTHER"}',
    "a name twice, nested": b'{%s, "more": [{"a": 1, "a": 2}]}',
    "lone high surrogate": b'{%s, "description": "\\ud800"}',
    "lone low surrogate": b'{%s, "description": "\\udc00x"}',
    "surrogates in the wrong order": b'{%s, "description": "\\udc00\\ud800"}',
    "surrogate in a name": b'{%s, "\\ud800": 1}',
    "surrogate in UTF-8": b'{%s, "description": "\xed\xa0\x80"}',
    "invalid UTF-8": b'{%s, "description": "\xff"}',
    "overlong UTF-8": b'{%s, "description": "\xc0\x80"}',
    "raw control character": b'{%s, "description": "\x00"}',
    "byte order mark": b"\xef\xbb\xbf{%s}",
    "single quotes": b"{%s, 'stock': 1}",
    "trailing comma": b"{%s,}",
    "comment": b"{%s} // a mug",
    "two values": b"{%s} {}",
    "cut off": b"{%s",
    "90,000 arrays": b"[" * 90_000,
    "90,000 arrays, closed": b'{%s, "more": ' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "90,000 objects": b'{"a":' * 90_000,
}


def send(api: Api, by: Caller, body: bytes, **kwargs: Any) -> TestResponse:
    """POST raw bytes as a new product; `%s` in them is the rest of a valid one."""
    kwargs = {"content_type": "application/json", **kwargs}
    return api.call("POST", "products", by=by, data=body.replace(b"%s", MUG.encode()), **kwargs)


def stored(api: Api) -> list[Any]:
    return list(api.get("products", status=200).json["items"])


def is_problem(response: TestResponse, slug: str) -> bool:
    return response.mimetype == "application/problem+json" and response.json["type"].endswith(slug)


def test_the_body_that_these_tests_spoil_is_a_good_one(api: Api, editor: Caller) -> None:
    send(api, editor, b'{%s, "stock": 7, "description": "\\ud83d\\ude00"}', status=201)
    assert [(mug["stock"], mug["description"]) for mug in stored(api)] == [(7, "\N{GRINNING FACE}")]


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_is_400(api: Api, editor: Caller, body: bytes) -> None:
    response = send(api, editor, body, status=400)
    assert is_problem(response, "/bad-request")
    assert stored(api) == []


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_json_in_another_encoding_is_400(api: Api, editor: Caller, encoding: str) -> None:
    send(api, editor, f"{{{MUG}}}".encode(encoding), status=400)
    assert stored(api) == []


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'"text"', b"null", b"17", b"true"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_body_that_is_no_object_is_422_and_points_at_the_whole(
    api: Api, editor: Caller, method: str, body: bytes
) -> None:
    path = "products" if method == "POST" else f"products/{NOWHERE}"
    headers = {"If-Match": "*", "Content-Type": "application/json"}
    response = api.call(method, path, by=editor, data=body, headers=headers, status=422)
    assert places(response) == {"#"}


@pytest.mark.parametrize("value", ["1e308", "-1e308", "1.5", "2147483648", "-1", "true", '"1"'])
def test_a_number_that_cannot_be_stored_is_422(api: Api, editor: Caller, value: str) -> None:
    response = send(api, editor, b'{%s, "stock": ' + value.encode() + b"}", status=422)
    assert places(response) == {"#/stock"}
    assert stored(api) == []


def test_a_pointer_is_escaped_and_resolves_in_the_body(api: Api, editor: Caller) -> None:
    odd = '{"a/b~c": 1, "é x": 2, "%41": 3, "\\u0000": 4, "": 5}'
    response = send(api, editor, odd.encode(), status=422)
    assert {"#/a~1b~0c", "#/%C3%A9%20x", "#/%2541", "#/%00", "#/"} <= places(response)


# --- NUL, which PostgreSQL cannot store ------------------------------------------------------


@pytest.mark.parametrize("member", ["sku", "name", "description", "category", "price", "currency"])
def test_nul_in_a_product_is_422(api: Api, editor: Caller, member: str) -> None:
    mug = {"sku": "A", "name": "A", "category": "A", "price": "1", "currency": "EUR"}
    response = api.post("products", mug | {member: "A\0"}, by=editor, status=422)
    assert places(response) == {f"#/{member}"}


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("users", ["email", "name", "password"]),
        ("auth/login", ["email", "password"]),
        ("auth/refresh", ["refresh_token"]),
        ("tasks", ["title", "description", "priority", "due_at"]),
        ("notes", ["text"]),
    ],
)
def test_nul_is_422_in_every_string_of_a_body(
    api: Api, user: Caller, path: str, members: list[str]
) -> None:
    body = dict.fromkeys(members, "a string of twenty characters\0")
    response = api.post(path, body, by=user, status=422)
    assert {f"#/{name}" for name in members} <= places(response)


@pytest.mark.parametrize("name", ["q", "category", "currency", "created_from", "sort", "cursor"])
def test_nul_in_a_query_is_422(api: Api, name: str) -> None:
    response = api.get(f"products?{name}=a%00b", status=422)
    assert places(response) == {name}


@pytest.mark.parametrize(
    "path",
    [
        "products/%00", f"products/{NOWHERE}%00", "products%00", "/%00", "/docs/a%00b",
        "/problems/%00", "products/%ff", "products/%ED%A0%80", "/docs/..%2f..%2fpyproject.toml",
        f"products/{{{NOWHERE}}}", f"products/urn:uuid:{NOWHERE}", f"products/{NOWHERE}0",
        "products/9223372036854775808", "products/-1", "/api//v1/products",
    ],
)  # fmt: skip
def test_an_odd_path_is_404(api: Api, path: str) -> None:
    assert is_problem(api.get(path, status=404), "/not-found")


# --- media types -----------------------------------------------------------------------------

JSON = "application/json"
PATCH = "application/merge-patch+json"


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/problem+json", "application/x-www-form-urlencoded", PATCH,
     f"{JSON}; charset=utf-16", f"{JSON}; charset=iso-8859-1", f"{JSON}, text/plain", "json"],
)  # fmt: skip
def test_a_body_of_another_type_is_415_that_names_ours(
    api: Api, editor: Caller, media_type: str
) -> None:
    response = send(api, editor, b"{%s}", content_type=media_type, status=415)
    assert response.headers["Accept"] == JSON
    assert "Accept-Patch" not in response.headers
    assert "Accept-Encoding" not in response.headers
    assert stored(api) == []


@pytest.mark.parametrize(
    "media_type", [f"{JSON}; charset=utf-8", f'{JSON}; charset="UTF-8"', "Application/JSON", JSON]
)
def test_json_in_utf_8_is_taken_however_it_is_written(
    api: Api, editor: Caller, media_type: str
) -> None:
    send(api, editor, b"{%s}", content_type=media_type, status=201)


def test_a_patch_may_be_a_merge_patch(api: Api, editor: Caller) -> None:
    mug = send(api, editor, b"{%s}", status=201).headers["Location"]
    headers = {"If-Match": "*", "Content-Type": PATCH}
    response = api.call("PATCH", mug, by=editor, data=b'{"stock": 3}', headers=headers, status=200)
    assert response.json["stock"] == 3


def test_a_patch_of_another_type_is_415_that_names_both_of_ours(api: Api, editor: Caller) -> None:
    headers = {"If-Match": "*", "Content-Type": "application/json-patch+json"}
    path = f"products/{NOWHERE}"
    response = api.call("PATCH", path, by=editor, data=b"[]", headers=headers, status=415)
    for name in ("Accept", "Accept-Patch"):
        assert set(response.headers[name].split(", ")) == {JSON, PATCH}


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_a_compressed_body_is_415_that_says_what_is_taken(
    api: Api, editor: Caller, coding: str
) -> None:
    response = send(api, editor, b"{%s}", headers={"Content-Encoding": coding}, status=415)
    assert response.headers["Accept-Encoding"] == "identity"
    assert "Accept" not in response.headers
    assert stored(api) == []


# --- size ------------------------------------------------------------------------------------

LIMIT = 1000
LARGE = b'{%s, "description": "' + b"x" * LIMIT + b'"}'


@pytest.fixture
def small(make_app: MakeApp) -> Api:
    """An application that takes bodies of at most `LIMIT` bytes."""
    return Api(make_app(max_content_length=LIMIT))


def chunked(body: bytes) -> dict[str, Any]:
    """What a server passes on for a chunked request: a stream that ends by itself, no length."""
    stream = io.BytesIO(body.replace(b"%s", MUG.encode()))
    return {
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


def test_a_body_over_the_limit_is_413(small: Api, editor: Caller) -> None:
    assert is_problem(send(small, editor, LARGE, status=413), "/content-too-large")
    assert stored(small) == []


def test_a_chunked_body_over_the_limit_is_413(small: Api, editor: Caller) -> None:
    response = send(small, editor, b"", environ_overrides=chunked(LARGE), status=413)
    assert is_problem(response, "/content-too-large")
    assert stored(small) == []


def test_a_body_is_not_read_beyond_the_limit(small: Api, editor: Caller) -> None:
    environ = chunked(b"x" * 50 * LIMIT)
    send(small, editor, b"", environ_overrides=environ, status=413)
    assert environ["wsgi.input"].tell() <= LIMIT


def test_a_body_of_exactly_the_limit_is_taken(small: Api, editor: Caller) -> None:
    body = b"{%s}".replace(b"%s", MUG.encode())
    send(small, editor, body + b" " * (LIMIT - len(body)), status=201)


def test_a_chunked_body_below_the_limit_is_taken(small: Api, editor: Caller) -> None:
    send(small, editor, b"", environ_overrides=chunked(b"{%s}"), status=201)


def test_who_may_not_write_is_told_so_before_the_body_is_read(small: Api, user: Caller) -> None:
    send(small, user, LARGE, status=403)


# --- queries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["1_000", "%D9%A1%D9%A2", "abc", "0", "101", "-1", "%2B5", "5.0", "1e1", "0x10", "", "%205",
     "5%0A", "9" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("path", ["products", "tasks"])
def test_limit_is_a_plain_number_from_1_to_100(
    api: Api, user: Caller, path: str, value: str
) -> None:
    assert places(api.get(f"{path}?limit={value}", by=user, status=422)) == {"limit"}


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
def test_a_malformed_filter_is_422(api: Api, query: str, name: str) -> None:
    assert places(api.get(f"products?{query}", status=422)) == {name}


@pytest.mark.parametrize("name", ["limit[]", "LIMIT", "access_token", "%D9%A1", ""])
@pytest.mark.parametrize("path", ["products", f"products/{NOWHERE}"])
def test_an_unknown_parameter_is_422(api: Api, path: str, name: str) -> None:
    assert places(api.get(f"{path}?{name}=1", status=422)) == {unquote(name)}


@pytest.mark.parametrize("query", ["limit=5&limit=5", "q=a&q=b", "limit=5&%6cimit=6"])
def test_a_repeated_parameter_is_422(api: Api, query: str) -> None:
    response = api.get(f"products?{query}", status=422)
    assert len(places(response)) == 1
    assert [e["detail"] for e in response.json["errors"]] == ["Parameter must not be repeated."]


def test_a_repeated_parameter_of_an_item_is_422(api: Api) -> None:
    assert places(api.get(f"products/{NOWHERE}?a=1&a=2", status=422)) == {"a"}


def test_every_failing_parameter_is_named_at_once(api: Api) -> None:
    response = api.get("products?limit=0&sort=id&nonsense=1&in_stock=maybe", status=422)
    assert places(response) == {"limit", "sort", "nonsense", "in_stock"}


@pytest.mark.parametrize("text", ["%ff", "%ED%A0%80", "%C0%80", "a%80b"])
@pytest.mark.parametrize("path", ["products", f"products/{NOWHERE}"])
def test_a_query_that_is_not_utf_8_is_400(api: Api, path: str, text: str) -> None:
    assert is_problem(api.get(f"{path}?q={text}", status=400), "/bad-request")


def test_a_query_of_raw_bytes_is_400(app: Flask) -> None:
    environ = {"QUERY_STRING": "q=\xff"}
    response = app.test_client().get("/api/v1/products", environ_overrides=environ)
    assert response.status_code == 400


@pytest.mark.parametrize("cursor", ["abc", "%C3%A9", ".", "..", "e30.AAAA", "x" * 4096])
def test_a_cursor_that_we_did_not_give_is_400(api: Api, cursor: str) -> None:
    assert is_problem(api.get(f"products?cursor={cursor}", status=400), "/invalid-cursor")

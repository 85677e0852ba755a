"""Strict JSON."""

import pytest

from tests.api import Api, Caller, error_locations
from tests.core.web.problems import is_problem
from tests.core.web.raw_bodies import MUG, send, stored

pytestmark = pytest.mark.database_independent

NOWHERE = "00000000-0000-7000-8000-000000000000"


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


def test_json_body_is_accepted(api: Api, editor: Caller) -> None:
    send(api, editor, b'{%s, "stock": 7, "description": "\\ud83d\\ude00"}', status=201)
    assert [(mug["stock"], mug["description"]) for mug in stored(api)] == [(7, "\N{GRINNING FACE}")]


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_invalid_json_is_400(api: Api, editor: Caller, body: bytes) -> None:
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
def test_json_body_that_is_no_object_is_422(
    api: Api, editor: Caller, method: str, body: bytes
) -> None:
    path = "articles" if method == "POST" else f"articles/{NOWHERE}"
    headers = {"If-Match": "*", "Content-Type": "application/json"}
    response = api.call(method, path, by=editor, data=body, headers=headers, status=422)
    assert error_locations(response) == {"#"}


@pytest.mark.parametrize("value", ["1e308", "-1e308", "1.5", "2147483648", "-1", "true", '"1"'])
def test_number_out_of_range_is_422(api: Api, editor: Caller, value: str) -> None:
    response = send(api, editor, b'{%s, "stock": ' + value.encode() + b"}", status=422)
    assert error_locations(response) == {"#/stock"}
    assert stored(api) == []


def test_json_pointer_of_an_unknown_member_is_escaped(api: Api, editor: Caller) -> None:
    odd = '{"a/b~c": 1, "é x": 2, "%41": 3, "\\u0000": 4, "": 5}'
    response = send(api, editor, odd.encode(), status=422)
    assert {"#/a~1b~0c", "#/%C3%A9%20x", "#/%2541", "#/%00", "#/"} <= error_locations(response)


@pytest.mark.parametrize("member", ["sku", "name", "description", "category", "price", "currency"])
def test_nul_in_a_member_of_a_product_is_422(api: Api, editor: Caller, member: str) -> None:
    mug = {"sku": "A", "name": "A", "category": "A", "price": "1", "currency": "EUR"}
    response = api.post("articles", mug | {member: "A\0"}, by=editor, status=422)
    assert error_locations(response) == {f"#/{member}"}


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("users", ["email", "name", "password"]),
        ("auth/login", ["email", "password"]),
        ("auth/refresh", ["refresh_token"]),
        ("errands", ["title", "description", "priority", "due_at"]),
    ],
)
def test_nul_in_a_string_is_422(api: Api, user: Caller, path: str, members: list[str]) -> None:
    body = dict.fromkeys(members, "a string of twenty characters\0")
    response = api.post(path, body, by=user, status=422)
    assert {f"#/{name}" for name in members} <= error_locations(response)

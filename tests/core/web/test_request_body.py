"""Request bodies: media types and sizes."""

import io
from typing import Any

import pytest

from tests.api import Api, Caller
from tests.conftest import MakeApp
from tests.core.web.problems import is_problem
from tests.core.web.raw_bodies import MUG, send, stored

pytestmark = pytest.mark.database_independent

NOWHERE = "00000000-0000-7000-8000-000000000000"


JSON = "application/json"


PATCH = "application/merge-patch+json"


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/problem+json", "application/x-www-form-urlencoded", PATCH,
     f"{JSON}; charset=utf-16", f"{JSON}; charset=iso-8859-1", f"{JSON}, text/plain", "json"],
)  # fmt: skip
def test_unsupported_media_type_is_415_with_the_supported_one(
    api: Api, editor: Caller, media_type: str
) -> None:
    response = send(api, editor, b"{%s}", content_type=media_type, status=415)
    assert response.headers["Accept"] == JSON
    is_json = media_type.startswith(f"{JSON};")
    expected = "The charset of the body must be UTF-8." if is_json else f"The body must be {JSON}."
    assert response.json["detail"] == expected
    assert "Accept-Patch" not in response.headers
    assert "Accept-Encoding" not in response.headers
    assert stored(api) == []


@pytest.mark.parametrize(
    "media_type", [f"{JSON}; charset=utf-8", f'{JSON}; charset="UTF-8"', "Application/JSON", JSON]
)
def test_json_media_type_is_accepted_with_charset_and_in_any_case(
    api: Api, editor: Caller, media_type: str
) -> None:
    send(api, editor, b"{%s}", content_type=media_type, status=201)


def test_merge_patch_media_type_is_accepted(api: Api, editor: Caller) -> None:
    mug = send(api, editor, b"{%s}", status=201).headers["Location"]
    headers = {"If-Match": "*", "Content-Type": PATCH}
    response = api.call("PATCH", mug, by=editor, data=b'{"stock": 3}', headers=headers, status=200)
    assert response.json["stock"] == 3


def test_unsupported_patch_media_type_is_415_with_the_supported_ones(
    api: Api, editor: Caller
) -> None:
    headers = {"If-Match": "*", "Content-Type": "application/json-patch+json"}
    path = f"articles/{NOWHERE}"
    response = api.call("PATCH", path, by=editor, data=b"[]", headers=headers, status=415)
    for name in ("Accept", "Accept-Patch"):
        assert set(response.headers[name].split(", ")) == {JSON, PATCH}


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_compressed_body_is_415_with_accept_encoding(api: Api, editor: Caller, coding: str) -> None:
    response = send(api, editor, b"{%s}", headers={"Content-Encoding": coding}, status=415)
    assert response.headers["Accept-Encoding"] == "identity"
    assert "Accept" not in response.headers
    assert stored(api) == []


LIMIT = 1000


LARGE = b'{%s, "description": "' + b"x" * LIMIT + b'"}'


@pytest.fixture
def small(make_app: MakeApp) -> Api:
    """An application with a maximum content length of `LIMIT` bytes."""
    return Api(make_app(max_content_length=LIMIT))


def chunked(body: bytes) -> dict[str, Any]:
    """The WSGI environment of a chunked request: a terminated stream without length."""
    stream = io.BytesIO(body.replace(b"%s", MUG.encode()))
    return {
        "wsgi.input": stream,
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


def test_body_over_the_limit_is_413(small: Api, editor: Caller) -> None:
    assert is_problem(send(small, editor, LARGE, status=413), "/content-too-large")
    assert stored(small) == []


def test_chunked_body_over_the_limit_is_413(small: Api, editor: Caller) -> None:
    response = send(small, editor, b"", environ_overrides=chunked(LARGE), status=413)
    assert is_problem(response, "/content-too-large")
    assert "larger than 1000 bytes" in response.json["detail"]
    assert stored(small) == []


def test_chunked_body_is_not_read_beyond_the_limit(small: Api, editor: Caller) -> None:
    environ = chunked(b"x" * 50 * LIMIT)
    send(small, editor, b"", environ_overrides=environ, status=413)
    assert environ["wsgi.input"].tell() == LIMIT + 1


def test_body_of_exactly_the_limit_is_accepted(small: Api, editor: Caller) -> None:
    body = b"{%s}".replace(b"%s", MUG.encode()).ljust(LIMIT)
    send(small, editor, body, status=201)


def test_chunked_body_of_exactly_the_limit_is_accepted(small: Api, editor: Caller) -> None:
    body = b"{%s}".replace(b"%s", MUG.encode()).ljust(LIMIT)
    send(small, editor, b"", environ_overrides=chunked(body), status=201)
    one_more = chunked(body + b" ")
    send(small, editor, b"", environ_overrides=one_more, status=413)


def test_chunked_body_below_the_limit_is_accepted(small: Api, editor: Caller) -> None:
    send(small, editor, b"", environ_overrides=chunked(b"{%s}"), status=201)


def test_forbidden_request_is_403_before_its_body_is_read(small: Api, user: Caller) -> None:
    send(small, user, LARGE, status=403)

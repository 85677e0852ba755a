"""JSON Merge Patch (RFC 7396)."""

import json
from typing import Any

import pytest

from tests.api import Api, Caller, error_locations

DUE = "2030-01-01T00:00:00Z"


NAMES = {"a": "description", "b": "due_at"}


MERGED = [
    ({"a": "x"}, {"a": "y"}, {"a": "y"}),
    ({"a": "x"}, {"b": DUE}, {"a": "x", "b": DUE}),
    ({"a": "x"}, {"a": None}, {}),
    ({"a": "x", "b": DUE}, {"a": None}, {"b": DUE}),
    ({"b": DUE}, {"a": "x", "b": None}, {"a": "x"}),
    ({}, {"a": None}, {}),
    ({"a": "x"}, {}, {"a": "x"}),
]


REFUSED = [
    ({"a": ["x"]}, "#/description"),
    ({"a": {"b": "c"}}, "#/description"),
    ({"a": [{"b": "c"}]}, "#/description"),
    ({"a": 1}, "#/description"),
    (["c"], "#"),
    (None, "#"),
    ("bar", "#"),
    ([1, 2], "#"),
    (3, "#"),
]


def named(members: Any) -> Any:
    if not isinstance(members, dict):
        return members
    return {NAMES[name]: value for name, value in members.items()}


@pytest.mark.parametrize(("original", "patch", "result"), MERGED)
@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
def test_merge_patch_merges_as_in_rfc_7396(
    api: Api, user: Caller, original: Any, patch: Any, result: Any, media_type: str
) -> None:
    created = api.post("errands", {"title": "t", **named(original)}, by=user, status=201)
    path, headers = created.headers["Location"], {"Content-Type": media_type}
    merged = api.patch(path, named(patch), by=user, headers=headers, status=200).json
    assert {k: merged[k] for k in NAMES.values() if merged[k] is not None} == named(result)
    assert merged["title"] == "t"


@pytest.mark.parametrize(("patch", "pointer"), REFUSED)
def test_merge_patch_with_an_invalid_value_is_422(
    api: Api, user: Caller, patch: Any, pointer: str
) -> None:
    created = api.post("errands", {"title": "t", "description": "x"}, by=user, status=201)
    path = created.headers["Location"]
    body = {"data": json.dumps(named(patch)), "content_type": "application/merge-patch+json"}
    refused = api.patch(path, by=user, status=422, **body)
    assert error_locations(refused) == {pointer}
    assert api.get(path, by=user).data == created.data

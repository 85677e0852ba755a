"""Merge patches and due dates of tasks."""

import json
from typing import Any

import pytest

from tests.api import Api, Caller, error_locations
from tests.tasks.requests import MERGE_PATCH, change, create


@pytest.fixture
def task(api: Api, user: Caller) -> dict[str, Any]:
    return create(api, user, description="Green.", due_at="2030-01-01T00:00:00Z", priority="high")


@pytest.mark.parametrize("member", ["description", "due_at"])
def test_merge_patch_with_null_clears_nullable_member(
    api: Api, user: Caller, task: dict[str, Any], member: str
) -> None:
    changed = change(api, user, task, {member: None}, status=200).json
    kept = task.keys() - {member, "version", "updated_at"}
    assert changed[member] is None
    assert {k: changed[k] for k in kept} == {k: task[k] for k in kept}


def test_merge_patch_keeps_members_it_does_not_name(
    api: Api, user: Caller, task: dict[str, Any]
) -> None:
    changed = change(api, user, task, {"title": "Coffee"}, status=200).json
    moved = {name for name in task if changed[name] != task[name]}
    assert moved == {"title", "version", "updated_at"}


def test_merge_patch_with_equal_value_raises_the_version(
    api: Api, user: Caller, task: dict[str, Any]
) -> None:
    changed = change(api, user, task, {"title": task["title"]}, status=200).json
    assert changed["version"] == task["version"] + 1


@pytest.mark.parametrize("body", [[], [{"op": "remove"}], "title", 7, None, True])
def test_merge_patch_that_is_not_an_object_is_422(
    api: Api, user: Caller, task: dict[str, Any], body: Any
) -> None:
    refused = change(api, user, task, None, data=json.dumps(body), **MERGE_PATCH, status=422)
    assert error_locations(refused) == {"#"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2030-01-31T18:00:00Z", "2030-01-31T18:00:00Z"),
        ("2030-01-31T18:00:00+00:00", "2030-01-31T18:00:00Z"),
        ("2030-01-31T18:00:00-00:00", "2030-01-31T18:00:00Z"),
        ("2030-01-31t18:00:00z", "2030-01-31T18:00:00Z"),
        ("2030-01-31T23:30:00+05:30", "2030-01-31T18:00:00Z"),
        ("2030-01-31T18:00:00-23:59", "2030-02-01T17:59:00Z"),
        ("2030-01-31T18:00:00.5Z", "2030-01-31T18:00:00.500000Z"),
        ("2030-01-31T18:00:00.123456Z", "2030-01-31T18:00:00.123456Z"),
        ("2030-01-31T18:00:00.123456789Z", "2030-01-31T18:00:00.123456Z"),
        ("2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_due_at_is_returned_in_utc(api: Api, user: Caller, given: str, kept: str) -> None:
    task = create(api, user, due_at=given)
    assert task["due_at"] == kept
    assert api.get(f"tasks/{task['id']}", by=user).json["due_at"] == kept
    assert api.get("tasks?sort=due_at", by=user).json["items"] == [task]


def test_due_at_is_equal_after_being_sent_back(api: Api, user: Caller) -> None:
    task = create(api, user, due_at="2030-01-31T18:00:00.000001+01:00")
    changed = change(api, user, task, {"due_at": task["due_at"]}, status=200).json
    assert changed["due_at"] == task["due_at"]


@pytest.mark.parametrize(
    "given",
    [
        "2030-01-31", "2030-01-31T18:00:00", "2030-01-31 18:00:00Z", "20300131T180000Z",
        "2030-W05-4T18:00:00Z", "2030-031T18:00:00Z", "2030-01-31T18:00Z", "2030-01-31T18Z",
        "2030-01-31T18:00:00.Z", "2030-01-31T18:00:00,5Z", "2030-01-31T18:00:00123Z",
        "2030-01-31T18:00:60Z", "2016-12-31T23:59:60Z", "2030-01-31T24:00:00Z",
        "2030-01-31T18:60:00Z", "2030-02-29T00:00:00Z", "2030-13-01T00:00:00Z",
        "2030-00-01T00:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z",
        "2030-01-31T18:00:00+24:00", "2030-01-31T18:00:00+05:60", "2030-01-31T18:00:00+0530",
        "2030-01-31T18:00:00+05", "2030-01-31T18:00:00+05:30:30", "2030-01-31T18:00:00 Z",
        "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "٢٠٣٠-01-31T18:00:00Z",
        "2030-01-31T18:00:00Z\n", "2030-01-31T18:00:00." + "1" * 60 + "Z", "", "now",
        1927648800, True, ["2030-01-31T18:00:00Z"],
    ],
    ids=repr,
)  # fmt: skip
def test_due_at_that_is_not_rfc_3339_is_422(api: Api, user: Caller, given: Any) -> None:
    refused = api.post("tasks", {"title": "Tea", "due_at": given}, by=user, status=422)
    assert error_locations(refused) == {"#/due_at"}

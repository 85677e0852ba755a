"""Tasks: a user sees and changes only their own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask import Flask

from app.tasks.models import Task
from tests import rows
from tests.api import Api, Caller, error_locations

MERGE_PATCH = {"content_type": "application/merge-patch+json"}


def create(api: Api, by: Caller, **members: Any) -> dict[str, Any]:
    """A new task, as the service returns it."""
    task: dict[str, Any] = api.post("tasks", {"title": "Tea"} | members, by=by, status=201).json
    return task


def titles(response: Any) -> list[str]:
    return [item["title"] for item in response.json["items"]]


def change(api: Api, by: Caller, task: dict[str, Any], body: Any, **kwargs: Any) -> Any:
    return api.patch(f"tasks/{task['id']}", body, by=by, **kwargs)


def test_task_has_defaults_for_optional_members(api: Api, user: Caller) -> None:
    created = create(api, user, title="Water the plants")

    assert created.keys() == {
        "id", "title", "description", "done", "priority", "due_at", "completed_at",
        "version", "created_at", "updated_at",
    }  # fmt: skip
    assert (
        created.items()
        >= {
            "title": "Water the plants",
            "description": None,
            "done": False,
            "priority": "normal",
            "due_at": None,
            "completed_at": None,
        }.items()
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("title", ""), ("title", "x" * 201), ("title", None), ("title", 7),
        ("description", "x" * 5001), ("done", "true"), ("done", 1), ("done", None),
        ("priority", "urgent"), ("priority", "HIGH"), ("priority", 2), ("priority", None),
        ("due_at", "tomorrow"), ("completed_at", "2030-01-01T00:00:00Z"), ("completed_at", None),
        ("owner_id", "0190a5d2-0000-7000-8000-000000000000"),
        ("id", "0190a5d2-0000-7000-8000-000000000000"), ("version", 1),
        ("created_at", "2030-01-01T00:00:00Z"), ("updated_at", "2030-01-01T00:00:00Z"),
        ("colour", "blue"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_task_with_invalid_member_is_422_and_unchanged(
    api: Api, app: Flask, user: Caller, method: str, member: str, value: Any
) -> None:
    wrong = {"title": "Coffee", "description": "Black.", member: value}
    if method == "POST":
        refused = api.post("tasks", wrong, by=user, status=422)
        assert rows.count(app, Task) == 0
    else:
        tea = create(api, user)
        refused = change(api, user, tea, wrong, status=422)
        assert api.get(f"tasks/{tea['id']}", by=user).json == tea
    assert error_locations(refused) == {f"#/{member}"}


def test_task_names_every_invalid_member(api: Api, user: Caller) -> None:
    wrong = {"title": "", "priority": "urgent", "due_at": "soon", "colour": "blue"}
    refused = api.post("tasks", wrong, by=user, status=422)
    assert error_locations(refused) == {"#/title", "#/priority", "#/due_at", "#/colour"}


def test_task_text_keeps_every_character(api: Api, user: Caller) -> None:
    text = "Grüße 👋🏽 \u202e\ttab\nline 'quote\" \\ %s {} <b>"
    assert (
        create(api, user, title=text, description=text).items()
        >= {
            "title": text,
            "description": text,
        }.items()
    )


def test_task_is_404_for_others_than_its_owner(
    api: Api, user: Caller, other: Caller, admin: Caller
) -> None:
    task = create(api, user)
    path = f"tasks/{task['id']}"
    for caller in (other, admin):
        api.get(path, by=caller, status=404)
        api.patch(path, {"title": "Mine"}, by=caller, status=404)
        api.delete(path, by=caller, status=404)
    assert api.get(path, by=user, status=200).json == task


@pytest.mark.parametrize(
    "query",
    [
        "", "done=false", "priority=normal", "due_from=2000-01-01T00:00:00Z",
        "due_to=2100-01-01T00:00:00Z", "q=secret", "sort=due_at", "sort=-title",
    ],
)  # fmt: skip
def test_task_list_contains_own_tasks_only(
    api: Api, user: Caller, other: Caller, query: str
) -> None:
    create(api, user, title="secret", due_at="2030-01-01T00:00:00Z")
    assert titles(api.get(f"tasks?{query}", by=user, status=200)) == ["secret"]
    assert titles(api.get(f"tasks?{query}", by=other, status=200)) == []


def test_task_list_has_no_owner_filter(api: Api, user: Caller, other: Caller) -> None:
    refused = api.get(f"tasks?owner_id={user.id}", by=other, status=422)
    assert error_locations(refused) == {"owner_id"}


def test_cursor_of_another_user_returns_own_tasks(api: Api, user: Caller, other: Caller) -> None:
    for n in range(3):
        create(api, user, title=f"Mine {n}")
    create(api, other, title="Theirs")
    cursor = api.get("tasks?sort=created_at&limit=1", by=user).json["next_cursor"]
    assert titles(api.get(f"tasks?cursor={cursor}", by=other, status=200)) == ["Theirs"]


def test_done_sets_completed_at(api: Api, user: Caller) -> None:
    task = create(api, user)
    done = change(api, user, task, {"done": True}, status=200).json
    assert done["done"] is True
    assert task["created_at"] < done["completed_at"] <= done["updated_at"]


def test_task_created_as_done_has_completed_at(api: Api, user: Caller) -> None:
    task = create(api, user, done=True)
    assert task["completed_at"] is not None
    assert api.get(f"tasks/{task['id']}", by=user).json == task


def test_undone_task_has_no_completed_at(api: Api, user: Caller) -> None:
    task = create(api, user, done=True)
    undone = change(api, user, task, {"done": False}, status=200).json
    assert (undone["done"], undone["completed_at"]) == (False, None)


def test_done_again_keeps_completed_at(api: Api, user: Caller) -> None:
    task = create(api, user, done=True)
    again = change(api, user, task, {"done": True}, status=200).json
    assert again["completed_at"] == task["completed_at"]


def test_task_done_a_second_time_has_a_later_completed_at(api: Api, user: Caller) -> None:
    task = create(api, user, done=True)
    change(api, user, task, {"done": False}, status=200)
    again = change(api, user, task, {"done": True}, status=200).json
    assert again["completed_at"] > task["completed_at"]


def test_other_changes_keep_done_and_completed_at(api: Api, user: Caller) -> None:
    task = create(api, user, done=True)
    renamed = change(api, user, task, {"title": "Coffee"}, status=200).json
    assert (renamed["done"], renamed["completed_at"]) == (True, task["completed_at"])


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


DAY = datetime(2030, 1, 1, tzinfo=UTC)
TASKS = [  # one created each day
    {"title": "Buy tea", "priority": "high", "due": 3, "description": "Green, 100% leaf."},
    {"title": "wash up", "priority": "low", "due": None, "done": True},
    {"title": "Call Ada", "priority": "normal", "due": 1, "done": True},
    {"title": "Sleep", "priority": "low", "due": 2},
]


class TestTaskList:
    @pytest.fixture(autouse=True)
    def tasks(self, app: Flask, user: Caller) -> None:
        for n, task in enumerate(TASKS):
            rows.add(
                app,
                Task,
                owner_id=user.id,
                title=task["title"],
                description=task.get("description"),
                priority=task["priority"],
                done=task.get("done", False),
                completed_at=DAY if task.get("done") else None,
                due_at=task["due"] and DAY + timedelta(days=task["due"]),
                created_at=DAY + timedelta(days=n),
            )

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["Buy tea", "wash up", "Call Ada", "Sleep"]),
            ({"done": "true"}, ["wash up", "Call Ada"]),
            ({"done": "false"}, ["Buy tea", "Sleep"]),
            ({"priority": "low"}, ["wash up", "Sleep"]),
            ({"due_from": "2030-01-03T00:00:00Z"}, ["Buy tea", "Sleep"]),
            ({"due_to": "2030-01-03T00:00:00Z"}, ["Call Ada"]),
            ({"due_from": "2030-01-03T02:00:00+02:00"}, ["Buy tea", "Sleep"]),
            # As openapi-generator's Python client writes it.
            ({"due_from": "2030-01-03T02:00:00.000000+0200"}, ["Buy tea", "Sleep"]),
            ({"due_from": "2030-01-02T00:00:00Z", "due_to": "2030-01-04T00:00:00Z"},
             ["Call Ada", "Sleep"]),
            ({"q": "ada"}, ["Call Ada"]),
            ({"q": "green"}, ["Buy tea"]),
            ({"q": "100%"}, ["Buy tea"]),
            ({"q": "%%"}, []),
            ({"q": "nothing"}, []),
            ({"done": "false", "priority": "low"}, ["Sleep"]),
            ({"done": "true", "priority": "high"}, []),
        ],
        ids=str,
    )  # fmt: skip
    def test_task_list_contains_what_matches_every_filter(
        self, api: Api, user: Caller, query: dict[str, str], found: list[str]
    ) -> None:
        path = f"tasks?{urlencode(query | {'sort': 'created_at'})}"
        assert titles(api.get(path, by=user, status=200)) == found

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("created_at", ["Buy tea", "wash up", "Call Ada", "Sleep"]),
            ("title", ["Buy tea", "Call Ada", "Sleep", "wash up"]),  # by code point
            ("priority", ["wash up", "Sleep", "Call Ada", "Buy tea"]),  # low, normal, high
            (
                "due_at",
                ["Call Ada", "Sleep", "Buy tea", "wash up"],
            ),  # tasks without due_at come last
        ],
    )
    def test_task_list_is_sorted_in_both_directions(
        self, api: Api, user: Caller, sort: str, order: list[str]
    ) -> None:
        assert titles(api.get(f"tasks?sort={sort}", by=user, status=200)) == order
        assert titles(api.get(f"tasks?sort=-{sort}", by=user, status=200)) == order[::-1]

    def test_pages_sorted_by_due_at_continue_past_tasks_without_due_at(
        self, api: Api, user: Caller
    ) -> None:
        found, cursor = [], ""
        while cursor is not None:
            path = f"tasks?sort=-due_at&limit=1&cursor={cursor}".removesuffix("&cursor=")
            page = api.get(path, by=user, status=200)
            found, cursor = found + titles(page), page.json["next_cursor"]
        assert found == ["wash up", "Buy tea", "Sleep", "Call Ada"]

    def test_task_list_begins_with_the_newest_by_default(self, api: Api, user: Caller) -> None:
        assert titles(api.get("tasks", by=user, status=200))[0] == "Sleep"

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("done", "1"), ("done", ""), ("priority", "urgent"), ("priority", "2"),
            ("due_from", "2030-01-01"), ("due_to", "yesterday"), ("q", ""), ("q", "x" * 201),
            ("sort", "done"), ("completed_at", "2030-01-01T00:00:00Z"),
        ],
    )  # fmt: skip
    def test_task_list_with_invalid_parameter_is_422_and_names_it(
        self, api: Api, user: Caller, parameter: str, value: str
    ) -> None:
        query = urlencode({parameter: value})
        refused = api.get(f"tasks?{query}", by=user, status=422)
        assert error_locations(refused) == {parameter}

"""Tasks: their members, and that only their owner sees them."""

from typing import Any

import pytest
from flask import Flask

from app.tasks.models import Task
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.tasks.requests import change, create, titles


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

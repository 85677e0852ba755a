"""The list of tasks: filters and search."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from flask import Flask

from app.tasks.models import Task
from tests import rows
from tests.api import Api, Caller, error_locations
from tests.tasks.requests import titles

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

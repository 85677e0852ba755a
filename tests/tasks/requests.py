"""Tasks as the tests create and change them."""

from typing import Any

from tests.api import Api, Caller

MERGE_PATCH = {"content_type": "application/merge-patch+json"}


def create(api: Api, by: Caller, **members: Any) -> dict[str, Any]:
    """A new task, as the service returns it."""
    task: dict[str, Any] = api.post("tasks", {"title": "Tea"} | members, by=by, status=201).json
    return task


def titles(response: Any) -> list[str]:
    return [item["title"] for item in response.json["items"]]


def change(api: Api, by: Caller, task: dict[str, Any], body: Any, **kwargs: Any) -> Any:
    return api.patch(f"tasks/{task['id']}", body, by=by, **kwargs)

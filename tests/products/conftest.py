"""Fixtures of the tests of products."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.api import Api, Caller
from tests.products.import_requests import CSV, Import, send


@pytest.fixture
def importing(api: Api, editor: Caller) -> Import:
    """`importing(file)` imports the file and returns the finished job."""

    def run(data: bytes, media_type: str = CSV, query: str = "", **kwargs: Any) -> dict[str, Any]:
        started = send(api, editor, data, media_type, query, status=202, **kwargs)
        job: dict[str, Any] = api.get(started.headers["Location"], by=editor, status=200).json
        return job

    return run


@pytest.fixture
def problems(api: Api, editor: Caller) -> Callable[[dict[str, Any]], dict[int, set[str]]]:
    """`problems(job)` is the set of pointers of each invalid line by its number."""

    def read(job: dict[str, Any]) -> dict[int, set[str]]:
        found, path = [], f"/api/v1/jobs/{job['id']}/problems?limit=100"
        page = api.get(path, by=editor, status=200).json
        found = page["items"]
        while page["next_cursor"]:
            page = api.get(f"{path}&cursor={page['next_cursor']}", by=editor, status=200).json
            found += page["items"]
        return {each["line"]: {error["pointer"] for error in each["errors"]} for each in found}

    return read

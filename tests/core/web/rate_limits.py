"""Requests to applications with rate limits, and the header fields of their responses."""

from collections.abc import Callable
from typing import Any

import http_sfv
from werkzeug.test import TestResponse

from tests.api import Api

MakeApi = Callable[..., Api]


def parse(response: TestResponse, name: str) -> dict[str, dict[str, Any]]:
    """The parameters of a header field by policy, read by an independent parser (RFC 8941)."""
    items = http_sfv.List()
    items.parse(response.headers[name].encode())
    assert all(isinstance(item.value, str) for item in items)
    return {item.value: dict(item.params) for item in items}


def remaining(response: TestResponse, policy: str = "default") -> int:
    return int(parse(response, "RateLimit")[policy]["r"])


def statuses(api: Api, count: int, path: str = "articles", **kwargs: Any) -> list[int]:
    return [api.get(path, **kwargs).status_code for _ in range(count)]

"""Articles that are created from raw bytes."""

from typing import Any

from werkzeug.test import TestResponse

from tests.api import Api, Caller

MUG = '"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"'


def send(api: Api, by: Caller, body: bytes, **kwargs: Any) -> TestResponse:
    """POST raw bytes as an article; `%s` is replaced by the members of a valid one."""
    kwargs = {"content_type": "application/json", **kwargs}
    return api.call("POST", "articles", by=by, data=body.replace(b"%s", MUG.encode()), **kwargs)


def stored(api: Api) -> list[Any]:
    return list(api.get("articles", status=200).json["items"])

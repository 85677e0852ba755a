"""Products as the tests create and read them."""

from typing import Any

from tests.api import Api, Caller

MUG = {"sku": "MUG-1", "name": "Mug", "category": "kitchen", "price": "12.50", "currency": "EUR"}


def create(api: Api, by: Caller, **members: Any) -> dict[str, Any]:
    """A new product, as the service returns it."""
    product: dict[str, Any] = api.post("products", MUG | members, by=by, status=201).json
    return product


def names(response: Any) -> list[str]:
    return [item["name"] for item in response.json["items"]]

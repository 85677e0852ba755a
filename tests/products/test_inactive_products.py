"""Products that only editors and admins see."""

from typing import Any

import pytest

from tests.api import Api, Caller, error_locations
from tests.products.requests import create, names


@pytest.fixture
def inactive(api: Api, editor: Caller) -> dict[str, Any]:
    create(api, editor, name="On sale")
    return create(api, editor, sku="OLD-1", name="Withdrawn", is_active=False)


def test_inactive_product_is_hidden_from_readers(
    api: Api, user: Caller, inactive: dict[str, Any]
) -> None:
    for reader in (None, user):
        api.get(f"products/{inactive['id']}", by=reader, status=404)
        assert names(api.get("products", by=reader)) == ["On sale"]


def test_inactive_product_is_visible_to_writers(
    api: Api, editor: Caller, admin: Caller, inactive: dict[str, Any]
) -> None:
    for writer in (editor, admin):
        assert api.get(f"products/{inactive['id']}", by=writer, status=200).json == inactive
        assert names(api.get("products", by=writer)) == ["Withdrawn", "On sale"]


def test_writers_can_filter_by_is_active(
    api: Api, editor: Caller, inactive: dict[str, Any]
) -> None:
    assert names(api.get("products?is_active=false", by=editor)) == ["Withdrawn"]
    assert names(api.get("products?is_active=true", by=editor)) == ["On sale"]


@pytest.mark.parametrize("query", ["is_active=true", "is_active=false"])
def test_filter_by_is_active_is_403_for_readers(api: Api, user: Caller, query: str) -> None:
    for reader in (None, user):
        refused = api.get(f"products?{query}", by=reader, status=403)
        assert error_locations(refused) == {"is_active"}
        assert "insufficient_scope" in refused.headers["WWW-Authenticate"]


def test_cursor_of_a_writer_does_not_reveal_inactive_products(
    api: Api, editor: Caller, inactive: dict[str, Any]
) -> None:
    create(api, editor, sku="OLD-2", name="Withdrawn too", is_active=False)
    theirs = api.get("products?is_active=false&limit=1", by=editor).json["next_cursor"]
    of_all = api.get("products?limit=1", by=editor).json["next_cursor"]
    api.get(f"products?cursor={theirs}", status=403)
    assert names(api.get(f"products?cursor={of_all}", status=200)) == ["On sale"]


def test_reactivated_product_is_visible_to_readers(
    api: Api, editor: Caller, inactive: dict[str, Any]
) -> None:
    api.patch(f"products/{inactive['id']}", {"is_active": True}, by=editor, status=200)
    api.get(f"products/{inactive['id']}", status=200)

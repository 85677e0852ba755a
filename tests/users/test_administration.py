"""Users: lists, changes and deletion by admins."""

from typing import Any

import pytest
from flask import Flask

from app.auth.models import Session
from app.users.models import User
from examples.notes.models import Note
from tests import rows
from tests.api import PASSWORD, Api, Caller, error_locations

NEW_PASSWORD = "another horse, another staple"


def names(response: Any) -> list[str]:
    return [item["name"] for item in response.json["items"]]


@pytest.fixture(autouse=True)
def people(app: Flask, admin: Caller) -> None:
    for name, email, role, is_active in (
        ("Ada Lovelace", "lovelace@example.com", "user", True),
        ("Grace Hopper", "hopper@example.com", "editor", True),
        ("Charles Babbage", "babbage@example.com", "user", False),
    ):
        values = {"name": name, "email": email, "role": role, "is_active": is_active}
        rows.add(app, User, password_hash="x", **values)


def test_admin_lists_all_users(api: Api, admin: Caller) -> None:
    page = api.get("users", by=admin, status=200)
    assert sorted(names(page)) == ["Ada Lovelace", "Charles Babbage", "Grace Hopper", "Test"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("role=user", ["Ada Lovelace", "Charles Babbage"]),
        ("role=editor", ["Grace Hopper"]),
        ("is_active=false", ["Charles Babbage"]),
        ("is_active=true&role=user", ["Ada Lovelace"]),
        ("q=Grace", ["Grace Hopper"]),
        ("q=LOVELACE", ["Ada Lovelace"]),
        ("q=babbage@example.com", ["Charles Babbage"]),
        ("q=nobody", []),
    ],
)
def test_admin_filters_users(api: Api, admin: Caller, query: str, found: list[str]) -> None:
    page = api.get(f"users?sort=created_at&{query}", by=admin, status=200)
    assert names(page) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("created_at", ["Test", "Ada Lovelace", "Grace Hopper", "Charles Babbage"]),
        ("-created_at", ["Charles Babbage", "Grace Hopper", "Ada Lovelace", "Test"]),
        ("email", ["Charles Babbage", "Grace Hopper", "Ada Lovelace", "Test"]),
        ("-email", ["Test", "Ada Lovelace", "Grace Hopper", "Charles Babbage"]),
    ],
)
def test_admin_sorts_users(api: Api, admin: Caller, sort: str, order: list[str]) -> None:
    assert names(api.get(f"users?sort={sort}", by=admin, status=200)) == order


def test_users_are_sorted_by_newest_first(api: Api, admin: Caller) -> None:
    assert names(api.get("users", by=admin))[0] == "Charles Babbage"


@pytest.mark.parametrize("query", ["role=root", "is_active=1", "name=Ada", "sort=name", "q="])
def test_invalid_parameter_of_the_user_list_is_422(api: Api, admin: Caller, query: str) -> None:
    refused = api.get(f"users?{query}", by=admin, status=422)
    assert error_locations(refused) == {query.partition("=")[0]}


def test_user_list_has_no_password_hash(api: Api, admin: Caller) -> None:
    page = api.get("users", by=admin, status=200)
    assert all("password" not in "".join(item) for item in page.json["items"])


@pytest.mark.parametrize("change", [{"role": "editor"}, {"is_active": False}])
def test_admin_changes_role_and_is_active(
    api: Api, admin: Caller, user: Caller, change: dict[str, Any]
) -> None:
    changed = api.patch(f"users/{user.id}", change, by=admin, status=200)
    assert changed.json.items() >= change.items()
    assert api.get(f"users/{user.id}", by=admin).json == changed.json


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Somebody"},
        {"email": "somebody@example.com"},
        {"password": NEW_PASSWORD},
        {"role": "root"},
        {"role": None},
        {"is_active": "no"},
        {"is_active": None},
    ],
    ids=str,
)
def test_other_members_of_a_user_are_422_for_an_admin(
    api: Api, admin: Caller, user: Caller, change: dict[str, Any]
) -> None:
    before = api.get("users/me", by=user).data
    refused = api.patch(f"users/{user.id}", change, by=admin, status=422)
    assert error_locations(refused) == {f"#/{name}" for name in change}
    assert api.get("users/me", by=user).data == before


def test_disabled_user_cannot_log_in(api: Api, admin: Caller, user: Caller) -> None:
    api.patch(f"users/{user.id}", {"is_active": False}, by=admin, status=200)
    api.post("auth/login", {"email": user.email, "password": PASSWORD}, status=401)


def test_deleted_user_is_deleted_with_the_rows_of_the_account(
    api: Api, app: Flask, admin: Caller, user: Caller
) -> None:
    api.post("notes", {"text": "Water the plants"}, by=user, status=201)
    api.delete(f"users/{user.id}", by=admin, status=204)
    api.get(f"users/{user.id}", by=admin, status=404)
    assert rows.count(app, Note) == 0
    assert rows.count(app, Session, owner_id=user.id) == 0

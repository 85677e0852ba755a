"""Users: registration, own account, administration."""

from typing import Any

import pytest
from flask import Flask

from app.auth.models import Session
from app.core.database.ids import uuid7
from app.users.models import User
from examples.notes.models import Note
from tests import rows
from tests.api import PASSWORD, Api, Caller, error_locations
from tests.auth.login import log_in

NEW_PASSWORD = "another horse, another staple"


READ_ONLY = {
    "id": str(uuid7()),
    "email": "other@example.com",
    "role": "admin",
    "is_active": False,
    "email_verified_at": "2020-01-01T00:00:00Z",
    "version": 9,
    "created_at": "2020-01-01T00:00:00Z",
    "updated_at": "2020-01-01T00:00:00Z",
    "password": NEW_PASSWORD,
    "password_hash": "x",
}


def registration(**members: Any) -> dict[str, Any]:
    return {"email": "ada@example.com", "name": "Ada", "password": PASSWORD} | members


def test_registered_user_can_log_in(api: Api) -> None:
    api.post("users", registration(), status=201)
    log_in(api, "ada@example.com", status=200)


def test_registration_returns_the_account_without_password(api: Api) -> None:
    created = api.post("users", registration(), status=201)
    assert created.json.keys() == {
        "id", "email", "name", "role", "is_active", "email_verified_at",
        "version", "created_at", "updated_at",
    }  # fmt: skip
    assert created.json["role"] == "user"
    assert created.json["is_active"] is True


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("jos\u00e9@example.com", "jose\u0301@example.com"),
        ("ada@example.com", "ADA@Example.COM"),
        ("ada@b\u00fccher.example", "Ada@XN--BCHER-KVA.example"),
    ],
)
def test_spellings_of_one_email_address_are_one_account(
    api: Api, app: Flask, first: str, second: str
) -> None:
    api.post("users", registration(email=first), status=201)
    conflict = api.post("users", registration(email=second), status=409)
    assert error_locations(conflict) == {"#/email"}
    assert rows.count(app, User) == 1
    for email in (first, second):
        log_in(api, email, status=200)


def test_registration_with_an_address_that_grows_in_lower_case_is_422(api: Api, app: Flask) -> None:
    refused = api.post("users", registration(email="\u0130" * 50 + "@example.com"), status=422)
    assert error_locations(refused) == {"#/email"}
    assert "64 characters" in refused.json["errors"][0]["detail"]
    assert rows.count(app, User) == 0


@pytest.mark.parametrize("member", ["id", "role", "is_active", "version", "password_hash"])
def test_registration_with_a_read_only_member_is_422(api: Api, app: Flask, member: str) -> None:
    refused = api.post("users", registration(**{member: "admin"}), status=422)
    assert error_locations(refused) == {f"#/{member}"}
    assert rows.count(app, User) == 0


def test_registration_names_every_failing_member(api: Api) -> None:
    refused = api.post("users", {"email": "ada@", "password": "short"}, status=422)
    assert error_locations(refused) == {"#/email", "#/name", "#/password"}


@pytest.mark.parametrize(
    "password",
    ["fifteen letters", "a b " * 16, "🔑" * 15, "x" * 128, "x" * 1024],
    ids=["15", "64 with spaces", "15 emoji", "128", "1024"],
)
def test_password_may_be_long_and_have_any_characters(api: Api, password: str) -> None:
    api.post("users", registration(password=password), status=201)
    log_in(api, "ada@example.com", password, status=200)


@pytest.mark.parametrize(
    "password",
    ["fourteen chars", "🔑" * 14, "", "x" * 1025, None, 123456789012345],
    ids=["14", "14 emoji", "empty", "1025", "null", "number"],
)
def test_password_outside_its_length_bounds_is_422(api: Api, password: Any) -> None:
    refused = api.post("users", registration(password=password), status=422)
    assert error_locations(refused) == {"#/password"}


def test_password_is_compared_to_its_last_character(api: Api) -> None:
    api.post("users", registration(password="x" * 72 + "y"), status=201)
    log_in(api, "ada@example.com", "x" * 72 + "z", status=401)
    log_in(api, "ada@example.com", "x" * 72, status=401)


def test_password_is_case_sensitive(api: Api) -> None:
    api.post("users", registration(), status=201)
    log_in(api, "ada@example.com", PASSWORD.upper(), status=401)


def test_email_address_is_stored_in_lower_case(api: Api) -> None:
    created = api.post("users", registration(email="Ada@Example.COM"), status=201)
    assert created.json["email"] == "ada@example.com"


def test_email_address_in_another_case_is_a_conflict(api: Api, app: Flask) -> None:
    api.post("users", registration(), status=201)
    taken = api.post("users", registration(email="ADA@example.com"), status=409)
    assert error_locations(taken) == {"#/email"}
    assert taken.json["detail"] == "This e-mail address is already registered."
    assert rows.count(app, User) == 1


def test_two_parallel_registrations_of_one_address_succeed_once(api: Api, app: Flask) -> None:
    answers = rows.in_parallel(*[lambda: api.post("users", registration())] * 2)
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert rows.count(app, User) == 1


@pytest.mark.parametrize(
    "email",
    [
        "ada", "ada@", "@example.com", "ada@example", "ada@@example.com",
        "ada lovelace@example.com", "ada@example.com\n", "ada\u0000@example.com",
        "ada@exa_mple.com", "ada@-example.com", "ada@example.com-", "ada..lovelace@example.com",
        ".ada@example.com", "ada.@example.com", "<ada>@example.com", '"ada"@example.com',
        "a" * 40 + "." + "a" * 24 + "@example.com", "ada@example..com", "a" * 65 + "@example.com",
        "ada@" + "a." * 125 + "com", "", None, 7, ["ada@example.com"],
    ],
)  # fmt: skip
def test_invalid_email_address_is_422(api: Api, email: Any) -> None:
    refused = api.post("users", registration(email=email), status=422)
    assert error_locations(refused) == {"#/email"}


def test_own_account_is_the_same_at_its_location_and_at_me(api: Api) -> None:
    created = api.post("users", registration(), status=201)
    login = {"email": "ada@example.com", "password": PASSWORD}
    token = api.post("auth/login", login, status=200).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    at_location = api.get(created.headers["Location"], headers=headers, status=200)
    at_me = api.get("users/me", headers=headers, status=200)
    assert at_location.data == at_me.data == created.data


def test_own_account_can_be_renamed(api: Api, user: Caller) -> None:
    changed = api.patch("users/me", {"name": "Ada King"}, by=user, status=200)
    assert changed.json["name"] == "Ada King"
    assert api.get("users/me", by=user).json == changed.json


@pytest.mark.parametrize("name", ["", "x" * 101, None, 7])
def test_invalid_name_is_422(api: Api, user: Caller, name: Any) -> None:
    refused = api.patch("users/me", {"name": name}, by=user, status=422)
    assert error_locations(refused) == {"#/name"}
    assert api.get("users/me", by=user).json["name"] == "Test"


@pytest.mark.parametrize("member", READ_ONLY)
def test_read_only_member_of_the_own_account_is_422(api: Api, user: Caller, member: str) -> None:
    before = api.get("users/me", by=user).data
    change = {"name": "Ada King", member: READ_ONLY[member]}
    refused = api.patch("users/me", change, by=user, status=422)
    assert error_locations(refused) == {f"#/{member}"}
    assert api.get("users/me", by=user).data == before


def test_deleted_own_account_is_deleted_with_its_rows(
    api: Api, app: Flask, user: Caller, other: Caller
) -> None:
    api.post("notes", {"text": "Mine"}, by=user, status=201)
    api.post("notes", {"text": "Somebody else's"}, by=other, status=201)
    gone = api.delete("users/me", by=user, status=204)
    assert gone.data == b""
    assert rows.read(app, User.id) == [other.id]
    assert rows.read(app, Note.owner_id) == [other.id]
    assert rows.read(app, Session.owner_id) == [other.id]


def test_email_address_of_a_deleted_account_can_be_registered(api: Api, user: Caller) -> None:
    api.delete("users/me", by=user, status=204)
    api.post("users", registration(email=user.email), status=201)


def test_user_reads_the_own_account_only(api: Api, user: Caller, other: Caller) -> None:
    own = api.get(f"users/{user.id}", by=user, status=200)
    api.get(f"users/{other.id}", by=user, status=404)
    assert own.data == api.get("users/me", by=user).data


def test_editor_reads_the_own_account_only(api: Api, editor: Caller, other: Caller) -> None:
    api.get(f"users/{other.id}", by=editor, status=404)
    api.get("users", by=editor, status=403)

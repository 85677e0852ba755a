"""The last active admin."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.users.models import User
from tests import rows
from tests.api import Api, Caller

WAYS_TO_LOSE_AN_ADMIN = {
    "demoting": lambda api, by, whom: api.patch(f"users/{whom.id}", {"role": "user"}, by=by),
    "disabling": lambda api, by, whom: api.patch(f"users/{whom.id}", {"is_active": False}, by=by),
    "both": lambda api, by, whom: api.patch(
        f"users/{whom.id}", {"is_active": False, "role": "editor"}, by=by
    ),
    "deleting": lambda api, by, whom: api.delete(f"users/{whom.id}", by=by),
}


by_every_way = pytest.mark.parametrize(
    "lose", WAYS_TO_LOSE_AN_ADMIN.values(), ids=[*WAYS_TO_LOSE_AN_ADMIN]
)


def active_admins(app: Flask) -> int:
    return rows.count(app, User, role="admin", is_active=True)


@by_every_way
def test_last_active_admin_is_kept(api: Api, app: Flask, admin: Caller, lose: Any) -> None:
    before = api.get("users/me", by=admin).data
    refused = lose(api, admin, admin)
    assert refused.status_code == 409
    assert "last active admin" in refused.json["detail"]
    assert api.get("users/me", by=admin).data == before


def test_last_active_admin_cannot_delete_the_own_account(api: Api, admin: Caller) -> None:
    refused = api.delete("users/me", by=admin, status=409)
    assert "last active admin" in refused.json["detail"]
    api.get("users/me", by=admin, status=200)


def test_last_active_admin_needs_if_match(api: Api, admin: Caller) -> None:
    api.call("DELETE", "users/me", by=admin, status=428)


@by_every_way
def test_admin_is_the_last_active_one_when_others_are_disabled(
    api: Api, app: Flask, admin: Caller, lose: Any
) -> None:
    rows.change(app, User, api.sign_up("admin").id, is_active=False)
    assert lose(api, admin, admin).status_code == 409
    assert active_admins(app) == 1


@by_every_way
def test_admin_can_be_removed_while_another_is_active(
    api: Api, app: Flask, admin: Caller, lose: Any
) -> None:
    api.sign_up("admin")
    assert lose(api, admin, admin).status_code in (200, 204)
    assert active_admins(app) == 1


def test_last_active_admin_can_be_updated_without_change(api: Api, admin: Caller) -> None:
    same = {"role": "admin", "is_active": True}
    api.patch(f"users/{admin.id}", same, by=admin, status=200)


@by_every_way
def test_last_active_admin_can_remove_other_users(
    api: Api, admin: Caller, user: Caller, lose: Any
) -> None:
    assert lose(api, admin, user).status_code in (200, 204)


def test_last_active_admin_can_delete_disabled_admins(api: Api, app: Flask, admin: Caller) -> None:
    retired = api.sign_up("admin")
    rows.change(app, User, retired.id, is_active=False)
    api.delete(f"users/{retired.id}", by=admin, status=204)


@by_every_way
def test_two_admins_that_remove_each_other_at_the_same_time_leave_one(
    api: Api, app: Flask, admin: Caller, lose: Any
) -> None:
    rival = api.sign_up("admin")
    admins = select(User).where(User.role == "admin")
    answers = rows.blocked_by_lock(
        app, admins, lambda: lose(api, admin, rival), lambda: lose(api, rival, admin)
    )
    # 401: the admin was removed before their own request was checked
    assert sorted(answer.status_code for answer in answers)[1] in (401, 409)
    assert active_admins(app) == 1


def test_two_admins_that_delete_themselves_at_the_same_time_leave_one(
    api: Api, app: Flask, admin: Caller
) -> None:
    rival = api.sign_up("admin")
    admins = select(User).where(User.role == "admin")
    answers = rows.blocked_by_lock(
        app,
        admins,
        lambda: api.delete("users/me", by=admin),
        lambda: api.delete("users/me", by=rival),
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    assert active_admins(app) == 1

"""Passkeys as the only way to log in to an account without a password."""

from uuid import UUID

import pytest
from flask import Flask

from app.auth.accounts import login_without_password
from app.users.models import User
from app.users.passwords import NO_PASSWORD
from tests import rows
from tests.api import Caller
from tests.mfa.authenticator import Members, Passkey


@pytest.fixture(autouse=True)
def _password(app: Flask, user: Caller) -> None:
    rows.change(app, User, user.id, password_hash=NO_PASSWORD)


@pytest.fixture
def path(members: Members, user: Caller) -> str:
    """That of a passkey that can log in alone."""
    id_ = members.register(Passkey(), user, status=200).json["id"]
    return f"auth/mfa/factors/{id_}"


@pytest.mark.parametrize(
    ("another", "status"),
    [
        (None, 409),
        (Passkey(verifies_user=False), 409),
        (Passkey(is_discoverable=False), 409),
        (Passkey(is_discoverable=True), 204),
        (Passkey(), 204),
    ],
)
def test_last_passkey_that_can_log_in_alone_is_kept(
    members: Members, user: Caller, path: str, another: Passkey | None, status: int
) -> None:
    if another:
        members.register(another, user, status=200)
    members.delete(path, by=user, status=status)


def test_passkey_that_has_logged_in_alone_is_another_way_to_log_in(
    members: Members, user: Caller, path: str
) -> None:
    another = Passkey(verifies_user=False)
    members.register(another, user, status=200)
    another.verifies_user = True
    members.answer(another.get(members.options()), status=200)
    members.delete(path, by=user, status=204)


@pytest.mark.in_process
def test_passkey_can_be_removed_where_a_feature_knows_another_way_to_log_in(
    members: Members, user: Caller, path: str
) -> None:
    def knows_one(user_id: UUID, except_id: UUID) -> bool:
        return str(except_id) in path

    with login_without_password.connected_to(knows_one):
        members.delete(path, by=user, status=204)


def test_app_can_be_removed(members: Members, user: Caller, path: str) -> None:
    members.delete(members.enrol(user).factor, by=user, status=204)

"""Password changes, and races of new passwords with other requests."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select, text, update

from app.auth import accounts, login
from app.auth.email_tokens import EmailToken
from app.extensions import db
from app.users.models import User
from app.users.passwords import hash_password, verify_password
from tests import rows
from tests.api import PASSWORD, PASSWORD_HASH, Api, Caller, error_locations
from tests.auth.login import log_in
from tests.mail_server import receive


def in_another_connection(
    app: Flask, monkeypatch: pytest.MonkeyPatch, module: Any, do: Callable[[], None]
) -> None:
    """Run a function before the next hash of a module, as another process could."""
    once = iter([do])

    def hash_after(password: str) -> str:
        with app.app_context():
            next(once, lambda: None)()
        return hash_password(password)

    monkeypatch.setattr(module, "hash_password", hash_after)


def rename(app: Flask, user_id: Any) -> None:
    """Fails where the row (on SQLite: the database) is locked during the slow hash."""
    if app.config["DATABASE_URL"].startswith("postgresql"):
        with db.engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '100ms'"))
            connection.execute(update(User).where(User.id == user_id).values(name="Other"))
    else:
        rows.change(app, User, user_id, name="Other")


def test_password_change_hashes_outside_of_transactions(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_another_connection(app, monkeypatch, accounts, lambda: rename(app, user.id))
    body = {"current_password": PASSWORD, "new_password": "another long enough password"}
    api.put("users/me/password", body, by=user, status=204)
    assert rows.read(app, User.name, id=user.id) == ["Other"]


def test_password_reset_hashes_outside_of_transactions(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_another_connection(app, monkeypatch, accounts, lambda: rename(app, user.id))
    with receive() as mailbox, pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.config, "SMTP_URL", mailbox.url)
        api.post("auth/password/forgot", {"email": user.email}, status=202)
        body = {"token": mailbox.token, "new_password": "another long enough password"}
        api.post("auth/password/reset", body, status=204)
    assert rows.read(app, User.name, id=user.id) == ["Other"]


def test_login_that_renews_a_hash_hashes_outside_of_transactions(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    outdated = PasswordHasher(time_cost=1, memory_cost=9, parallelism=1).hash(PASSWORD)
    rows.change(app, User, user.id, password_hash=outdated)
    in_another_connection(app, monkeypatch, login, lambda: rename(app, user.id))
    log_in(api, user.email, status=200)
    assert rows.read(app, User.name, id=user.id) == ["Other"]
    assert rows.read(app, User.password_hash, id=user.id) != [outdated]


def test_password_change_verifies_again_when_the_password_was_replaced_meanwhile(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = hash_password("the password of somebody else")
    replace = partial(rows.change, app, User, user.id, password_hash=replaced)
    in_another_connection(app, monkeypatch, accounts, replace)
    body = {"current_password": PASSWORD, "new_password": "another long enough password"}
    api.put("users/me/password", body, by=user, status=422)
    assert rows.read(app, User.password_hash, id=user.id) == [replaced]


def test_password_reset_rejects_a_token_that_was_used_meanwhile(
    api: Api, app: Flask, user: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = partial(rows.remove, app, EmailToken, user_id=user.id)
    in_another_connection(app, monkeypatch, accounts, use)
    with receive() as mailbox, pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.config, "SMTP_URL", mailbox.url)
        api.post("auth/password/forgot", {"email": user.email}, status=202)
        body = {"token": mailbox.token, "new_password": "another long enough password"}
        api.post("auth/password/reset", body, status=401)
    assert rows.read(app, User.password_hash, id=user.id) == [PASSWORD_HASH]


NEW_PASSWORD = "another horse, another staple"


def change_password(api: Api, user: Caller, present: Any, new: Any, **kwargs: Any) -> Any:
    body = {"current_password": present, "new_password": new}
    return api.put("users/me/password", body, by=user, **kwargs)


def test_password_change_replaces_the_password(api: Api, user: Caller) -> None:
    done = change_password(api, user, PASSWORD, NEW_PASSWORD, status=204)
    assert done.data == b""
    login = {"email": user.email, "password": PASSWORD}
    api.post("auth/login", login, status=401)
    api.post("auth/login", login | {"password": NEW_PASSWORD}, status=200)


def test_password_change_needs_the_current_password(api: Api, app: Flask, user: Caller) -> None:
    refused = change_password(api, user, "not the password", NEW_PASSWORD, status=422)
    assert error_locations(refused) == {"#/current_password"}
    assert refused.json["errors"][0]["detail"] == "Current password is incorrect."
    [stored] = rows.read(app, User.password_hash, id=user.id)
    assert verify_password(stored, PASSWORD)


def test_password_change_refuses_a_short_password(api: Api, user: Caller) -> None:
    refused = change_password(api, user, PASSWORD, "fourteen chars", status=422)
    assert error_locations(refused) == {"#/new_password"}


def test_password_change_names_every_failing_member(api: Api, user: Caller) -> None:
    refused = api.put("users/me/password", {"password": "x"}, by=user, status=422)
    assert error_locations(refused) == {"#/current_password", "#/new_password", "#/password"}


def test_password_change_does_not_change_the_etag_of_the_user(api: Api, user: Caller) -> None:
    before = api.get("users/me", by=user)
    change_password(api, user, PASSWORD, NEW_PASSWORD, status=204)
    after = api.get("users/me", by=user)
    assert (after.headers["ETag"], after.data) == (before.headers["ETag"], before.data)


def test_two_parallel_password_changes_succeed_once(api: Api, app: Flask, user: Caller) -> None:
    account = select(User).where(User.id == user.id)
    new = [f"{NEW_PASSWORD} {n}" for n in (1, 2)]
    answers = rows.blocked_by_lock(
        app,
        account,
        lambda: change_password(api, user, PASSWORD, new[0]),
        lambda: change_password(api, user, PASSWORD, new[1]),
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, 422]
    [stored] = rows.read(app, User.password_hash, id=user.id)
    assert verify_password(stored, new[statuses.index(204)])
